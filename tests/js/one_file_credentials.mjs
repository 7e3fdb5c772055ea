// Asks for credentials for one file at a time and sends it with lib-storage; prints the SHA-256 of each by its key.
import { ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { api } from "./api.mjs";
import { asked, bytesFor, sha256 } from "./client.mjs";

const digests = {};
const refused = [];
for (const { size, minted } of asked.files) {
  const name = `${size} bytes + é.bin`;
  const grant = await api("/api/credentials", minted ? { filename: name } : { key: `${asked.prefix}${name}` });
  const s3 = new S3Client({
    endpoint: grant.endpoint,
    region: grant.region,
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: {
      accessKeyId: grant.access_key,
      secretAccessKey: grant.secret_key,
      sessionToken: grant.session_token,
      expiration: new Date(grant.expires_at),
    },
  });
  const body = bytesFor(grant.key, size);
  const params = { Bucket: grant.bucket, Key: grant.key, Body: body, ContentType: "application/x-two-buckets" };
  if (minted) params.IfNoneMatch = "*";
  await new Upload({ client: s3, params, partSize: 5 << 20, queueSize: 4 }).done();
  digests[grant.key] = sha256(body);
  for (const command of [
    new PutObjectCommand({ Bucket: grant.bucket, Key: `${grant.key}x`, Body: "x", IfNoneMatch: "*" }),
    new ListObjectsV2Command({ Bucket: grant.bucket }),
  ]) {
    await s3.send(command).then(
      () => refused.push("not refused"),
      (error) => refused.push(error.name),
    );
  }
}
console.log(JSON.stringify({ digests, refused }));
