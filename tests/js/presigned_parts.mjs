// A multipart upload whose every request goes by a link: the SDK signs, fetch sends. Prints the SHA-256 by key.
import assert from "node:assert/strict";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListPartsCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { api } from "./api.mjs";
import { asked, bytesFor, s3 as root, sha256 } from "./client.mjs";

async function by(s3, command, method, body) {
  const answer = await fetch(await getSignedUrl(s3, command, { expiresIn: 60 }), { method, body });
  return { status: answer.status, etag: answer.headers.get("etag"), text: await answer.text() };
}

const digests = {};
for (const who of ["root", "one file"]) {
  const key = `${asked.prefix}parts by links of ${who} + é.bin`;
  let s3 = root;
  if (who === "one file") {
    const grant = await api("/api/credentials", { key });
    s3 = new S3Client({
      endpoint: grant.endpoint,
      region: grant.region,
      forcePathStyle: true,
      credentials: {
        accessKeyId: grant.access_key,
        secretAccessKey: grant.secret_key,
        sessionToken: grant.session_token,
      },
    });
  }
  const where = { Bucket: asked.bucket, Key: key };
  const body = bytesFor(key, (11 << 20) + 1);
  const created = await by(s3, new CreateMultipartUploadCommand(where), "POST");
  assert.equal(created.status, 200, created.text);
  const upload = { ...where, UploadId: /<UploadId>([^<]+)</.exec(created.text)[1] };
  const parts = [];
  for (let number = 1; (number - 1) * (5 << 20) < body.length; number++) {
    const piece = body.subarray((number - 1) * (5 << 20), number * (5 << 20));
    const put = await by(s3, new UploadPartCommand({ ...upload, PartNumber: number }), "PUT", piece);
    assert.equal(put.status, 200, put.text);
    parts.push(`<Part><PartNumber>${number}</PartNumber><ETag>${put.etag}</ETag></Part>`);
  }
  const listed = await by(s3, new ListPartsCommand(upload), "GET");
  assert.equal(listed.text.match(/<PartNumber>/g).length, parts.length, listed.text);
  // A link for one part is for that part alone.
  const link = await getSignedUrl(s3, new UploadPartCommand({ ...upload, PartNumber: 1 }), { expiresIn: 60 });
  const other = await fetch(link.replace("partNumber=1", "partNumber=2"), { method: "PUT", body: "x" });
  assert.equal(other.status, 403);
  const document = `<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`;
  const done = await by(s3, new CompleteMultipartUploadCommand(upload), "POST", document);
  assert.equal(done.status, 200, done.text);
  digests[key] = sha256(body);

  const given = await by(s3, new CreateMultipartUploadCommand(where), "POST");
  const givenUp = { ...where, UploadId: /<UploadId>([^<]+)</.exec(given.text)[1] };
  const aborted = await by(s3, new AbortMultipartUploadCommand(givenUp), "DELETE");
  assert.equal(aborted.status, 204, aborted.text);
}
console.log(JSON.stringify(digests));
