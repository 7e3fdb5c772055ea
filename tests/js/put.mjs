// Puts an object under each key asked for, then prints the SHA-256 of each.
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { asked, bytesFor, s3, sha256 } from "./client.mjs";

const digests = {};
for (const key of asked.keys) {
  const body = bytesFor(key, 2_000);
  await s3.send(new PutObjectCommand({ Bucket: asked.bucket, Key: key, Body: body }));
  digests[key] = sha256(body);
}
console.log(JSON.stringify(digests));
