// Puts one object in parts from a stream and one through a signed link, then prints the SHA-256 of each.
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { PutObjectCommand } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { asked, bytesFor, s3, sha256 } from "./client.mjs";

const digests = {};

const inParts = { Bucket: asked.bucket, Key: `${asked.prefix}in parts` };
const large = bytesFor(inParts.Key, asked.partsSize);
await new Upload({ client: s3, params: { ...inParts, Body: Readable.from([large]) }, partSize: 5 << 20 }).done();
digests[inParts.Key] = sha256(large);

const byLink = { Bucket: asked.bucket, Key: `${asked.prefix}by link + é` };
const small = bytesFor(byLink.Key, 100_000);
const link = await getSignedUrl(s3, new PutObjectCommand(byLink), { expiresIn: 60 });
const answer = await fetch(link, { method: "PUT", body: small });
assert.equal(answer.status, 200, await answer.text());
digests[byLink.Key] = sha256(small);

console.log(JSON.stringify(digests));
