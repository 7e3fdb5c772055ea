/** `npm run mock`: the stand-in server with a week of uploads, at the ports of the real one. */

import { resolve } from "node:path";
import { Mock } from "./mock.ts";
import { fill, fillHostile } from "./scene.ts";

const mock = new Mock(resolve("dist"));
fill(mock);
if (process.argv.includes("--hostile")) fillHostile(mock);
mock.processingMs = 1500;
mock.faults.bytesPerS = 2_000_000;
await mock.start(8080, 9000);
console.log(`page ${mock.url}, S3 ${mock.s3Url}; files ending in ${mock.faults.failing} fail`);
