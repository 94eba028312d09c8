export { type EnsuredImage, ensureImage } from './ensure-image.ts';
export { exportImage } from './export-image.ts';
export { ImageLoads } from './image-loads.ts';
export { findSameImage } from './local-images.ts';
export { removeImages } from './remove-images.ts';
