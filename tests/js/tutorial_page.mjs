// A page as the tutorial "Two buckets and a Lambda" has one, in our own words: both of its ways to send the chosen file,
// by a signed URL and by credentials for one file. It knows nothing of this server but the two addresses.
import { S3Client } from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";

const root = window.location.href.replace(/[^/]*$/, "");
const chosen = () => document.getElementById("chosen").files[0];

async function ask(path, body) {
  const answer = await fetch(root + path, {
    method: "POST",
    cache: "no-cache",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function bySignedUrl() {
  const file = chosen();
  const { url } = await ask("api/signedurl", { key: file.name, type: file.type });
  const answer = await fetch(url, {
    method: "PUT",
    mode: "cors",
    cache: "no-cache",
    headers: { "Content-Type": file.type },
    body: await file.arrayBuffer(),
  });
  return answer.status;
}

async function byCredentials() {
  const file = chosen();
  const given = await ask("api/credentials", { key: file.name });
  const s3 = new S3Client({
    // The one thing that is not AWS: where S3 is.
    endpoint: given.endpoint,
    forcePathStyle: true,
    region: given.region,
    credentials: {
      accessKeyId: given.access_key,
      secretAccessKey: given.secret_key,
      sessionToken: given.session_token,
    },
  });
  const params = { Bucket: given.bucket, Key: file.name, ContentType: file.type, Body: file };
  const done = await new Upload({ client: s3, params, partSize: 5 << 20 }).done();
  return done.$metadata.httpStatusCode;
}

window.bySignedUrl = bySignedUrl;
window.byCredentials = byCredentials;
