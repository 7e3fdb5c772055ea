// What the programs share: a client for the server the environment names, and bytes to send.
import { createHash } from "node:crypto";
import { S3Client } from "@aws-sdk/client-s3";

export const s3 = new S3Client({
  endpoint: process.env.AWS_ENDPOINT_URL_S3,
  region: process.env.AWS_REGION,
  forcePathStyle: true,
});

export const asked = JSON.parse(process.argv[2]);

// The same bytes for the same name, so that a reader can make them again.
export function bytesFor(name, size) {
  const block = createHash("sha512").update(name).digest();
  return Buffer.alloc(size, block);
}

export const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
