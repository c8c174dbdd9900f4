// OpenAI's own client, unmodified, against a server with the model "tiny": FOLDER holds its
// node_modules. openai_client_test.py runs it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [folder, url] = process.argv.slice(2);
const { OpenAI, toFile } = createRequire(path.join(folder, "here.js"))("openai");
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "anything", maxRetries: 0 });
const seven = { model: "tiny", prompt: "3", seed: 7 };

async function rejected(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail("it was not refused");
}

assert.deepEqual((await client.models.list()).data.map((model) => model.id), ["tiny"]);
assert.equal((await client.models.retrieve("tiny")).owned_by, "diffusiond");

const plain = await client.images.generate({ ...seven, n: 2, size: "28x28" });
assert.equal(plain.data.length, 2);
assert.equal(Buffer.from(plain.data[0].b64_json, "base64").subarray(1, 4).toString(), "PNG");

const told = [];
for await (const event of await client.images.generate({
  ...seven, stream: true, partial_images: 3, steps: 40,
})) {
  told.push(event);
}
const last = told.pop();
assert.equal(last.type, "image_generation.completed");
assert.ok(told.length >= 2, `${told.length} partial images`);
for (const event of told) {
  assert.equal(event.type, "image_generation.partial_image");
  assert.notEqual(event.b64_json, last.b64_json);
}

// A white square, of which the middle is transparent.
const square = await toFile(readFileSync(new URL("./square_with_hole.png", import.meta.url)),
                            "square.png", { type: "image/png" });
const edited = await client.images.edit({ ...seven, image: square, mask: square });
assert.equal(edited.data.length, 1);
const changes = [];
for await (const event of await client.images.edit({
  ...seven, image: [square], mask: square, stream: true, partial_images: 2, steps: 40,
})) {
  changes.push(event);
}
assert.equal(changes.pop().type, "image_edit.completed");
assert.ok(changes.length >= 1);
for (const event of changes) assert.equal(event.type, "image_edit.partial_image");
const unmasked = await rejected(client.images.edit({
  ...seven, image: square, mask: await toFile(Buffer.from("nonsense"), "mask.png"),
}));
assert.deepEqual([unmasked.status, unmasked.param], [400, "mask"]);

const wrong = await rejected(client.images.generate({ ...seven, prompt: "a red circle" }));
assert.ok(wrong instanceof OpenAI.BadRequestError);
assert.deepEqual([wrong.status, wrong.param, wrong.code], [400, "prompt", "INVALID_ARGUMENT"]);
assert.ok(await rejected(client.images.generate({ ...seven, model: "no" })) instanceof
          OpenAI.NotFoundError);

const abort = new AbortController();
const long = await client.images.generate(
  { ...seven, stream: true, partial_images: 3, steps: 1000, sampler: "ddpm", n: 8 },
  { signal: abort.signal });
for await (const _ of long) {
  abort.abort();
  break;
}
