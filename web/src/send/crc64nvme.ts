/**
 * CRC-64/NVME, the checksum S3 computes of every object: reflected, started and ended with all ones.
 *
 * In script rather than WebAssembly, which the page's policy would have to allow: eight bytes a step.
 * No number here holds 64 bits, so each value is two halves.
 */

const polynomialHigh = 0x9a6c9329;
const polynomialLow = 0xac4bc9b5;

/** Table `t` at `256 * t + byte`: what a byte becomes after `t` more bytes of zero. */
const low = new Uint32Array(8 * 256);
const high = new Uint32Array(8 * 256);

for (let byte = 0; byte < 256; byte += 1) {
	let l = byte;
	let h = 0;
	for (let bit = 0; bit < 8; bit += 1) {
		const carry = l & 1;
		l = (l >>> 1) | (h << 31);
		h >>>= 1;
		if (carry) {
			l ^= polynomialLow;
			h ^= polynomialHigh;
		}
	}
	low[byte] = l;
	high[byte] = h;
}
for (let at = 256; at < low.length; at += 1) {
	const l = low[at - 256] as number;
	const h = high[at - 256] as number;
	low[at] = ((l >>> 8) | (h << 24)) ^ (low[l & 255] as number);
	high[at] = (h >>> 8) ^ (high[l & 255] as number);
}

export class Crc64Nvme {
	private l = -1;
	private h = -1;

	update(bytes: Uint8Array): void {
		let { l, h } = this;
		const whole = bytes.length - (bytes.length % 8);
		const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
		let at = 0;
		for (; at < whole; at += 8) {
			const a = l ^ words.getInt32(at, true);
			const b = h ^ words.getInt32(at + 4, true);
			const i = [
				1792 + (a & 255),
				1536 + ((a >>> 8) & 255),
				1280 + ((a >>> 16) & 255),
				1024 + (a >>> 24),
				768 + (b & 255),
				512 + ((b >>> 8) & 255),
				256 + ((b >>> 16) & 255),
				b >>> 24,
			] as const;
			l =
				(low[i[0]] as number) ^
				(low[i[1]] as number) ^
				(low[i[2]] as number) ^
				(low[i[3]] as number) ^
				(low[i[4]] as number) ^
				(low[i[5]] as number) ^
				(low[i[6]] as number) ^
				(low[i[7]] as number);
			h =
				(high[i[0]] as number) ^
				(high[i[1]] as number) ^
				(high[i[2]] as number) ^
				(high[i[3]] as number) ^
				(high[i[4]] as number) ^
				(high[i[5]] as number) ^
				(high[i[6]] as number) ^
				(high[i[7]] as number);
		}
		for (; at < bytes.length; at += 1) {
			const i = (l ^ (bytes[at] as number)) & 255;
			l = ((l >>> 8) | (h << 24)) ^ (low[i] as number);
			h = (h >>> 8) ^ (high[i] as number);
		}
		this.l = l;
		this.h = h;
	}

	/** The value so far, most significant byte first, as S3 writes it. */
	digest(): Uint8Array {
		const bytes = new Uint8Array(8);
		const view = new DataView(bytes.buffer);
		view.setInt32(0, ~this.h);
		view.setInt32(4, ~this.l);
		return bytes;
	}
}
