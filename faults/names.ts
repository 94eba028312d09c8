/** The two hosts of the lab, and what is in it. */
export type HostName = 'h1' | 'h2';
export const hostNames: readonly HostName[] = ['h1', 'h2'];
export const CONTAINER = 'shop';
export const VOLUME = 'shop-data';
export const PORT = 3306;
export const IMAGE = 'mariadb:small';
/** A file of the volume that the database doesn't know. */
export const BALLAST = '/var/lib/mysql/ballast';
