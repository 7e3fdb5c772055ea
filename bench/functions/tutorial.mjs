// What tutorials show: look at the file, copy it to the archive by name, delete it by name.
import { CopyObjectCommand, DeleteObjectCommand, HeadObjectCommand, S3Client } from "@aws-sdk/client-s3";

const archive = process.env.ARCHIVE_BUCKET;
const s3 = new S3Client({ forcePathStyle: true });

export const handler = async (event) => {
  const { bucket, object } = event.Records[0].s3;
  const file = { Bucket: bucket.name, Key: decodeURIComponent(object.key.replaceAll("+", " ")) };
  const { ContentLength: size } = await s3.send(new HeadObjectCommand(file));
  const source = `${file.Bucket}/${encodeURIComponent(file.Key)}`;
  await s3.send(new CopyObjectCommand({ Bucket: archive, Key: file.Key, CopySource: source }));
  await s3.send(new DeleteObjectCommand(file));
  return { size };
};
