// One PUT and one GET by the JavaScript SDK, as programs make them that have the bytes in memory.

import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";

// The packages stand in the environment that tests/s3clients/install made, not beside this file.
const require = createRequire(process.env.NODE_PACKAGES);
const { GetObjectCommand, PutObjectCommand, S3Client } = require("@aws-sdk/client-s3");

const [Bucket, Key, file] = process.argv.slice(2);
const s3 = new S3Client({ forcePathStyle: true });
await s3.send(new PutObjectCommand({ Bucket, Key, Body: await readFile(file) }));
const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
await Body.transformToByteArray();
