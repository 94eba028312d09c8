/** Files above this many bytes follow the container; smaller ones travel before it starts. */
export const CONTENT_LIMIT = 65_536;
