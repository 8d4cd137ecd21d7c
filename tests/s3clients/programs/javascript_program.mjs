// The JavaScript SDK, the way programs use it: nothing here knows of Strongroom. It is told what to do as lines.py says.

import { createReadStream, createWriteStream } from "node:fs";
import { createRequire } from "node:module";
import { writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { pipeline } from "node:stream/promises";

// The packages stand in the environment that tests/s3clients/install made, not beside this file.
const require = createRequire(process.env.NODE_PACKAGES);
const {
  CopyObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  PutObjectCommand,
  S3Client,
  paginateListObjectsV2,
} = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");

const Bucket = process.env.BUCKET;
const s3 = new S3Client({});
// A URL for PUT would otherwise carry the checksum of the empty body that stands in for the one to come.
const presigner = new S3Client({ requestChecksumCalculation: "WHEN_REQUIRED" });

const operations = {
  async version() {
    return require("@aws-sdk/client-s3/package.json").version;
  },
  async put({ key, file }) {
    await s3.send(new PutObjectCommand({ Bucket, Key: key, Body: createReadStream(file) }));
  },
  async put_large({ key, file }) {
    await new Upload({ client: s3, params: { Bucket, Key: key, Body: createReadStream(file) } }).done();
  },
  async get({ key, file }) {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: key }));
    await pipeline(Body, createWriteStream(file));
  },
  async read_range({ key, first, last, file }) {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: key, Range: `bytes=${first}-${last}` }));
    await writeFile(file, await Body.transformToByteArray());
  },
  async sizes({ prefix }) {
    const found = {};
    for await (const page of paginateListObjectsV2({ client: s3, pageSize: 2 }, { Bucket, Prefix: prefix })) {
      for (const { Key, Size } of page.Contents ?? []) found[Key] = Size;
    }
    return found;
  },
  async read_listed({ prefix }) {
    const found = {};
    for await (const page of paginateListObjectsV2({ client: s3 }, { Bucket, Prefix: prefix })) {
      for (const { Key, ETag } of page.Contents ?? []) {
        const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key, IfMatch: ETag }));
        found[Key] = (await Body.transformToByteArray()).length;
      }
    }
    return found;
  },
  async copy({ source, target }) {
    await s3.send(new CopyObjectCommand({ Bucket, Key: target, CopySource: `${Bucket}/${source}` }));
  },
  async presign({ key, method }) {
    const Command = { GET: GetObjectCommand, PUT: PutObjectCommand }[method];
    return await getSignedUrl(method === "PUT" ? presigner : s3, new Command({ Bucket, Key: key }));
  },
  async delete({ keys }) {
    const Objects = keys.map((Key) => ({ Key }));
    await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...given } = JSON.parse(line);
  let answer;
  try {
    answer = { answer: (await operations[name](given)) ?? null };
  } catch (error) {
    answer = { error: `${error.name}: ${error.message}` };
  }
  console.log(JSON.stringify(answer));
}
