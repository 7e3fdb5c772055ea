// Stock Uppy with its S3 plugin, nothing of ours in between but the few lines that its documentation asks for.
import AwsS3 from "@uppy/aws-s3";
import Uppy from "@uppy/core";

async function ask(path, body) {
  const answer = await fetch(path, {
    method: body ? "POST" : "GET",
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body && JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

const modes = {
  signRequest: () => ({ signRequest: (request) => ask("/api/s3/sign", request) }),
  // The server mints a key when it is told the file's name; Uppy takes the key it answers with.
  signRequestMinted: () => ({
    signRequest: (request) =>
      ask(
        "/api/s3/sign",
        request.uploadId || request.method === "DELETE" ? request : { ...request, filename: request.key.slice(37) },
      ),
  }),
  getCredentials: async () => {
    const first = await ask("/api/s3/sts");
    return {
      s3Endpoint: `${first.endpoint.replace(/\/$/, "")}/${first.bucket}`,
      getCredentials: () => first,
      generateObjectKey: (file) => `${first.prefix}${file.name}`,
    };
  },
  companionEndpoint: () => ({ companionEndpoint: "/api" }),
};

/** Makes an Uppy and adds the files chosen in the page's input. */
async function start(mode, { multipart, prefix = "" }) {
  const options = await modes[mode]();
  if (prefix && mode.startsWith("signRequest")) options.generateObjectKey = (file) => prefix + file.name;
  if (mode === "signRequestMinted") delete options.generateObjectKey;
  const uppy = new Uppy({ autoProceed: false }).use(AwsS3, { ...options, shouldUseMultipart: multipart });
  window.uppy = uppy;
  window.parts = [];
  uppy.on("s3-multipart:part-uploaded", (_file, part) => window.parts.push(part.PartNumber));
  for (const file of document.querySelector("input").files) {
    uppy.addFile({ name: file.name, type: file.type, data: file });
  }
}

/** What became of it, without what cannot be written as JSON. */
const told = (result) => ({
  successful: result.successful.map((file) => ({
    name: file.name,
    key: file.response?.body?.key,
    location: file.uploadURL,
  })),
  failed: result.failed.map((file) => ({ name: file.name, error: String(file.error) })),
});

window.twoBuckets = {
  start,
  upload: async () => told(await window.uppy.upload()),
  retry: async () => told(await window.uppy.retryAll()),
  /** Pauses as soon as this part is there, so that what was sent before and after is certain. */
  pauseAfter: (number) =>
    window.uppy.on("s3-multipart:part-uploaded", (file, part) => {
      if (part.PartNumber === number && !window.paused) {
        window.paused = true;
        window.uppy.pauseResume(file.id);
      }
    }),
  resume: () => window.uppy.pauseResume(window.uppy.getFiles()[0].id),
  /** A file as large as it says, made of one piece over and over, whose upload another page had begun. */
  begun: (size, upload) => {
    const piece = new Blob([new Uint8Array(5 << 20)]);
    const whole = new Blob(Array.from({ length: Math.ceil(size / piece.size) }, () => piece)).slice(0, size);
    const id = window.uppy.addFile({ name: "begun.bin", type: "application/octet-stream", data: whole });
    window.uppy.setFileState(id, { s3Multipart: upload });
  },
};
