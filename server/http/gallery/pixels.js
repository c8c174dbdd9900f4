// Bytes and pixels: base64, digests, PNG files, sheets.

export function fromBase64(text) {
  return Uint8Array.from(atob(text), character => character.charCodeAt(0));
}

export function toBase64(bytes) {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

// Lower-case hexadecimal; null where the browser has no digests: a page neither of https nor of
// localhost.
export async function sha256(bytes) {
  if (!crypto.subtle) return null;
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, byte => byte.toString(16).padStart(2, '0')).join('');
}

export function decode(bytes) {
  return createImageBitmap(new Blob([bytes]), {colorSpaceConversion: 'none'});
}

export function draw(canvas, bitmap) {
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  canvas.getContext('2d').drawImage(bitmap, 0, 0);
}

export function toBlob(canvas) {
  return new Promise(resolve => canvas.toBlob(resolve, 'image/png'));
}

const CRC_TABLE = Uint32Array.from({length: 256}, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function chunk(type, data) {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = type.charCodeAt(i);
  bytes.set(data, 8);
  let crc = 0xffffffff;
  for (const byte of bytes.subarray(4, 8 + data.length)) {
    crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  }
  view.setUint32(8 + data.length, ~crc >>> 0);
  return bytes;
}

// A PNG of 1 (grey) or 3 channels: a canvas writes four, which the server takes for no grey model.
export async function encodePng(width, height, channels, pixels) {
  const row = width * channels;
  const filtered = new Uint8Array(height * (row + 1));  // A 0 before each row: no filter.
  for (let y = 0; y < height; y++) {
    filtered.set(pixels.subarray(y * row, (y + 1) * row), y * (row + 1) + 1);
  }
  const deflated = new Blob([filtered]).stream().pipeThrough(new CompressionStream('deflate'));
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, channels === 1 ? 0 : 2, 0, 0, 0], 8);
  const file = new Blob([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10),
    chunk('IHDR', header),
    chunk('IDAT', new Uint8Array(await new Response(deflated).arrayBuffer())),
    chunk('IEND', new Uint8Array(0)),
  ]);
  return new Uint8Array(await file.arrayBuffer());
}

// One picture of many canvases, enlarged by a whole factor. `labels`: {columns, rows} beside them.
export function sheet(canvases, columns, labels) {
  const {width, height} = canvases[0];
  const factor = Math.max(1, Math.round(112 / width));
  const gap = 4;
  const cell = {width: width * factor + gap, height: height * factor + gap};
  const made = document.createElement('canvas');
  const context = made.getContext('2d');
  const font = '13px system-ui, sans-serif';
  context.font = font;
  const left = labels ? Math.ceil(Math.max(...labels.rows.map(
      text => context.measureText(text).width))) + 12 : 0;
  const top = labels ? 24 : 0;
  made.width = left + columns * cell.width + gap;
  made.height = top + Math.ceil(canvases.length / columns) * cell.height + gap;
  context.fillStyle = '#fff';
  context.fillRect(0, 0, made.width, made.height);
  context.imageSmoothingEnabled = false;
  canvases.forEach((canvas, index) => {
    const x = left + gap + (index % columns) * cell.width;
    const y = top + gap + Math.floor(index / columns) * cell.height;
    context.drawImage(canvas, x, y, width * factor, height * factor);
  });
  if (labels) {
    context.font = font;
    context.fillStyle = '#222';
    context.textBaseline = 'middle';
    labels.rows.forEach((text, row) =>
      context.fillText(text, 6, top + gap + (row + 0.5) * cell.height));
    context.textAlign = 'center';
    labels.columns.forEach((text, column) =>
      context.fillText(text, left + gap + (column + 0.5) * cell.width, top / 2, cell.width));
  }
  return made;
}
