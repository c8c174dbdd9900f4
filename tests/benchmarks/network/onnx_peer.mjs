// Milliseconds an image of an ONNX network, the least of many calls:
//   node onnx_peer.mjs FILE.onnx THREADS ROWS CALLS     (npm install --ignore-scripts onnxruntime-node)
import ort from "onnxruntime-node";

const [file, threads, rows, calls] = process.argv.slice(2);
const session = await ort.InferenceSession.create(file, {
  intraOpNumThreads: Number(threads), interOpNumThreads: 1, executionMode: "sequential",
});
const n = Number(rows);
const feeds = {
  x: new ort.Tensor("float32", new Float32Array(n * 3 * 32 * 32).fill(0.5), [n, 3, 32, 32]),
  t: new ort.Tensor("float32", new Float32Array(n).fill(500), [n]),
};
let least = Infinity;
for (let call = 0; call <= Number(calls); ++call) {
  const start = process.hrtime.bigint();
  await session.run(feeds);
  if (call > 0) least = Math.min(least, Number(process.hrtime.bigint() - start) / 1e6 / n);
}
console.log(least.toFixed(2));
