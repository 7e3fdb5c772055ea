// Reads back what put.mjs put, lists it page by page, and deletes it.
import assert from "node:assert/strict";
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  paginateListObjectsV2,
} from "@aws-sdk/client-s3";
import { asked, bytesFor, s3, sha256 } from "./client.mjs";

async function list() {
  const keys = [];
  for await (const page of paginateListObjectsV2({ client: s3, pageSize: 3 }, { Bucket: asked.bucket })) {
    keys.push(...(page.Contents ?? []).map((entry) => entry.Key));
  }
  return keys;
}

for (const key of asked.keys) {
  const wanted = bytesFor(key, 2_000);
  const where = { Bucket: asked.bucket, Key: key };
  const got = await s3.send(new GetObjectCommand(where));
  assert.equal(sha256(await got.Body.transformToByteArray()), sha256(wanted), key);
  const head = await s3.send(new HeadObjectCommand(where));
  assert.equal(head.ContentLength, wanted.length, key);
}
const listed = await list();
const gone = await s3.send(
  new DeleteObjectsCommand({
    Bucket: asked.bucket,
    Delete: { Objects: asked.keys.map((Key) => ({ Key })) },
  }),
);
assert.equal(gone.Errors ?? undefined, undefined);
console.log(JSON.stringify({ listed, left: await list() }));
