// The voxels in the browser: asked of the kernel in pieces, nearest to what is shown first, and kept here.

const ARRAYS = { uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array };
const AT_ONCE = 2; // pieces that are asked for and have not come
const SIDE_BY_SIDE = 8; // planes across x that are cut at once
const KEPT = 256 * 2 ** 20; // bytes of single planes that are kept, where the whole is too large

class Voxels {
  /**
   * @param words what the kernel said of the volume
   * @param ask sends a message to the kernel
   * @param came is called when voxels have come
   */
  constructor(words, ask, came) {
    Object.assign(this, { words, ask, came, shape: words.shape, channels: words.channels });
    this.whole = words.whole;
    this.planes = new Map(); // single planes, the latest used last
    this.kept = 0;
    this.waiting = new Set();
    this.layers = words.layers.map((layer) => ({ ...layer, data: null, here: null, left: layer.planes }));
    this.near = 0;
    if (this.whole) {
      try {
        for (const layer of this.layers) {
          layer.data = new ARRAYS[layer.dtype](layer.planes * this.planeSize(layer));
          layer.here = new Uint8Array(layer.planes);
        }
      } catch {
        this.whole = false; // the browser has no room
        for (const layer of this.layers) layer.data = layer.here = null;
      }
    }
  }

  planeSize(layer) {
    return this.shape[1] * this.shape[2] * (layer.kind === "image" ? this.channels : 1);
  }

  /** Part of the voxels that are here, 0 to 1. */
  get progress() {
    const [left, all] = this.layers.reduce(([l, a], one) => [l + one.left * one.bytes, a + one.planes * one.bytes], [0, 0]);
    return 1 - left / all;
  }

  /** Ask for what is missing, beginning at a slice across z. */
  fill(slice, element) {
    this.near = element * this.shape[0] + slice;
    if (!this.whole) return;
    while (this.waiting.size < AT_ONCE) {
      const next = this.next();
      if (!next) return;
      this.waiting.add(`${next.layer}/${next.first}`);
      this.ask({ kind: "piece", ...next });
    }
  }

  next() {
    for (const [number, layer] of this.layers.entries()) {
      if (!layer.left) continue;
      const here = layer.kind === "image" ? this.near : this.near % this.shape[0];
      if (!layer.here[here] && !this.waiting.has(`${number}/${here}`)) {
        if (layer.left === layer.planes) return { layer: number, first: here, last: here + 1 }; // one at once
      }
      let best = null;
      for (let first = 0; first < layer.planes; first += layer.piece) {
        const last = Math.min(layer.planes, first + layer.piece);
        const distance = here < first ? first - here : here >= last ? here - last + 1 : 0;
        if (best && distance >= best.distance) continue;
        if (this.waiting.has(`${number}/${first}`) || layer.here.subarray(first, last).every((one) => one)) continue;
        best = { distance, first, last };
      }
      if (best) return { layer: number, first: best.first, last: best.last };
    }
    return null;
  }

  piece({ layer: number, first, last }, buffer) {
    const layer = this.layers[number];
    this.waiting.delete(`${number}/${first}`);
    if (!layer.data) return;
    const bytes = new Uint8Array(layer.data.buffer);
    bytes.set(new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength), first * layer.bytes);
    for (let plane = first; plane < last; plane++) {
      layer.left -= 1 - layer.here[plane];
      layer.here[plane] = 1;
    }
    this.came();
  }

  /** The voxels of a plane, rows by columns in the order of z, y, x; null where they have not come. */
  plane(number, across, index, element) {
    const layer = this.layers[number];
    if (layer.kind !== "image") element = 0;
    return this.whole ? this.cut(layer, across, index, element) : this.single(number, across, index, element);
  }

  cut(layer, across, index, element) {
    const [depth, rows, columns] = this.shape;
    const channels = layer.kind === "image" ? this.channels : 1;
    const size = rows * columns * channels, line = columns * channels, start = element * depth * size;
    if (across === "z") {
      if (!layer.here[element * depth + index]) return null;
      return layer.data.subarray(start + index * size, start + (index + 1) * size);
    }
    const width = across === "y" ? line : rows * channels;
    if (across === "x") return this.sagittal(layer, index, start, channels);
    if (!layer.cut || layer.cut.length !== depth * width) layer.cut = new ARRAYS[layer.dtype](depth * width);
    for (let k = 0; k < depth; k++) {
      const from = start + k * size + index * line;
      layer.cut.set(layer.data.subarray(from, from + line), k * line);
    }
    return layer.cut;
  }

  /** Planes across x, some at once: reading one takes the memory of its neighbours too, which are looked at next. */
  sagittal(layer, index, start, channels) {
    const [depth, rows, columns] = this.shape, { data } = layer;
    const first = index - (index % SIDE_BY_SIDE), count = Math.min(SIDE_BY_SIDE, columns - first) * channels;
    const size = depth * rows * channels, key = `${start}/${first}/${layer.left}`;
    if (layer.block?.key !== key) {
      const made = layer.block?.data || new ARRAYS[layer.dtype](size * SIDE_BY_SIDE);
      for (let line = 0, from = start + first * channels; line < depth * rows; line++, from += columns * channels)
        if (channels === 1) for (let at = 0; at < count; at++) made[at * size + line] = data[from + at];
        else
          for (let at = 0; at < count; at++)
            made[Math.floor(at / channels) * size + line * channels + (at % channels)] = data[from + at];
      layer.block = { key, data: made };
    }
    return layer.block.data.subarray((index - first) * size, (index - first + 1) * size);
  }

  single(number, across, index, element) {
    const key = `${number}/${across}/${index}/${element}`;
    const found = this.planes.get(key);
    if (found) {
      this.planes.delete(key); // to the end: used last
      this.planes.set(key, found);
      return found;
    }
    if (!this.waiting.has(key) && this.waiting.size < 12) {
      this.waiting.add(key);
      this.ask({ kind: "plane", layer: number, across, index, element, key });
    }
    return null;
  }

  /** Ask for the neighbours of what is shown, where planes come one at a time. */
  prefetch(across, index, element, count) {
    if (this.whole || this.waiting.size > 4) return;
    for (const other of [index + 1, index - 1, index + 2, index - 2])
      if (other >= 0 && other < count) this.layers.forEach((_, number) => this.single(number, across, other, element));
  }

  singleCame({ layer: number, key }, buffer) {
    this.waiting.delete(key);
    const Kind = ARRAYS[this.layers[number].dtype];
    const copy = new Uint8Array(buffer.byteLength);
    copy.set(new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength));
    const made = new Kind(copy.buffer);
    this.planes.set(key, made);
    this.kept += made.byteLength;
    for (const [old, plane] of this.planes) {
      if (this.kept <= KEPT) break;
      this.planes.delete(old);
      this.kept -= plane.byteLength;
    }
    this.came();
  }

  /** The value of a voxel; null where it has not come, NaN where there is none. */
  value(number, cursor, element, across) {
    const layer = this.layers[number];
    const index = cursor[DIMENSIONS.indexOf(across)];
    let stored, at;
    const [row, column] = [0, 1, 2].filter((one) => DIMENSIONS[one] !== across);
    if (this.whole) {
      const where = layer.kind === "image" ? element : 0;
      const plane = where * this.shape[0] + cursor[0];
      if (!layer.here[plane]) return null;
      at = (plane * this.shape[1] + cursor[1]) * this.shape[2] + cursor[2];
      stored = layer.data;
    } else {
      stored = this.planes.get(`${number}/${across}/${index}/${layer.kind === "image" ? element : 0}`);
      if (!stored) return null;
      at = cursor[row] * this.shape[column] + cursor[column];
    }
    if (layer.kind === "image" && this.channels > 1) return [...stored.subarray(at * 3, at * 3 + 3)];
    if (stored[at] === layer.none) return NaN;
    return stored[at] * layer.slope + layer.intercept;
  }
}
