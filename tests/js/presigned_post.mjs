// Makes a POST form with the SDK and sends it with fetch and FormData, as a page does; prints what was answered.
import { S3Client } from "@aws-sdk/client-s3";
import { createPresignedPost } from "@aws-sdk/s3-presigned-post";
import { api } from "./api.mjs";
import { asked, bytesFor, s3, sha256 } from "./client.mjs";

async function post({ url, fields }, body, name) {
  const form = new FormData();
  for (const [field, value] of Object.entries(fields)) form.append(field, value);
  form.append("file", new Blob([body]), name);
  const answer = await fetch(url, { method: "POST", body: form });
  return { status: answer.status, text: await answer.text() };
}

const key = `${asked.prefix}posted + é.bin`;
const body = bytesFor(key, 100_000);
const grant = await api("/api/credentials", { key });
const oneFile = new S3Client({
  endpoint: grant.endpoint,
  region: grant.region,
  forcePathStyle: true,
  credentials: {
    accessKeyId: grant.access_key,
    secretAccessKey: grant.secret_key,
    sessionToken: grant.session_token,
  },
});

const conditions = [
  ["content-length-range", 0, 100_000],
  ["eq", "$Content-Type", "text/x-two-buckets"],
];
const of = (client, Key, more = {}) =>
  createPresignedPost(client, {
    Bucket: asked.bucket,
    Key,
    Conditions: conditions,
    Fields: { "Content-Type": "text/x-two-buckets", ...more },
    Expires: 60,
  });

const byName = await createPresignedPost(s3, {
  Bucket: asked.bucket,
  Key: `${asked.prefix}folder/\${filename}`,
  Conditions: [["starts-with", "$key", `${asked.prefix}folder/`]],
});
const answers = {
  root: await post(await of(s3, `${asked.prefix}by root.bin`), body, "x"),
  oneFile: await post(await of(oneFile, key), body, "x"),
  created: await post(await of(s3, `${asked.prefix}created.bin`, { success_action_status: "201" }), body, "x"),
  byName: await post(byName, body, "größe + name.bin"),
  tooLarge: await post(await of(s3, `${asked.prefix}too large.bin`), Buffer.concat([body, Buffer.from("x")]), "x"),
  anotherKey: await post(await of(oneFile, `${key}x`), body, "x"),
  ours: await post(await api("/api/form", { key: `${asked.prefix}ours.bin` }), body, "x"),
};
console.log(JSON.stringify({ answers, key, sha256: sha256(body) }));
