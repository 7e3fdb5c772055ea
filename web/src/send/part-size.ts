/** How large files are cut; the server and the command line compute the same. */

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** Files up to this go in one piece; a broken connection costs at most this much again. */
export const singleBytesMax = 16 * MIB;
/** S3's largest object. */
export const sizeBytesMax = 50e12;
/** S3's limits for a part. */
export const partBytesMax = 5 * GIB;
export const partsMax = 10_000;

const partBytesMin = 8 * MIB;
/** One page of a part list: more are not needed below 5 TiB. */
const partsWanted = 1000;

/**
 * The least multiple of 1 MiB that is at least 8 MiB and needs at most 1,000 parts;
 * where that would pass 5 GiB a part, the least that needs at most 10,000.
 */
export function partSize(size: number): number {
	if (!Number.isSafeInteger(size) || size < 0 || size > sizeBytesMax) {
		throw new RangeError(`a file of ${size} bytes cannot be sent: at most 50 TB can`);
	}
	const least = (parts: number): number =>
		Math.max(partBytesMin, Math.ceil(Math.ceil(size / parts) / MIB) * MIB);
	const few = least(partsWanted);
	return few <= partBytesMax ? few : least(partsMax);
}

export const partCount = (size: number): number => Math.max(1, Math.ceil(size / partSize(size)));

/** How many bytes the part with this number has; the last has what is left. */
export const partBytes = (size: number, number: number): number =>
	Math.min(partSize(size), size - (number - 1) * partSize(size));
