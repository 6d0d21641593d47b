// From stored numbers to colours of the screen: tables, made anew when a window moves.

const BLACK = 0xff000000;

/** A grey for each stored number: Uint32 as a canvas has it (alpha, blue, green, red). */
function greyTable(layer, [centre, width], invert, table = null) {
  const wide = layer.dtype.endsWith("16");
  const count = wide ? 65536 : 256, half = count / 2, signed = layer.dtype.startsWith("int");
  table = table || new Uint32Array(count);
  const slope = (layer.slope / width) * 255, start = ((layer.intercept - centre) / width + 0.5) * 255;
  for (let bits = 0; bits < count; bits++) {
    const stored = signed && bits >= half ? bits - count : bits;
    let grey = Math.round(start + slope * stored);
    grey = grey < 0 ? 0 : grey > 255 ? 255 : grey;
    if (invert) grey = 255 - grey;
    table[bits] = BLACK | (grey << 16) | (grey << 8) | grey;
  }
  if (layer.none !== null) table[layer.none & (count - 1)] = BLACK;
  return table;
}

/** Blue, green, yellow, red for 0 to 1. */
function wash(part) {
  const hill = (middle) => Math.max(0, Math.min(1, 1.5 - Math.abs(4 * part - middle)));
  return [hill(3), hill(2), hill(1)].map((one) => Math.round(255 * one));
}

/** A colour for each stored number of a dose: red, green, blue in the low 24 bits, 0 for none. */
function washTable(layer, highest) {
  const count = layer.dtype.endsWith("16") ? 65536 : 256, signed = layer.dtype.startsWith("int");
  const table = new Uint32Array(count);
  for (let bits = 0; bits < count; bits++) {
    const stored = signed && bits >= count / 2 ? bits - count : bits;
    const part = (stored * layer.slope + layer.intercept) / highest;
    if (!(part >= 0.1) || stored === layer.none) continue; // the lowest tenth is left clear
    const [red, green, blue] = wash(Math.min(1, part));
    table[bits] = 0x1000000 | (blue << 16) | (green << 8) | red;
  }
  return table;
}

/** For each combination of eight masks the mean of their colours, low 24 bits; 0 for none. */
function maskTable(masks, shown) {
  const table = new Uint32Array(256);
  for (let bits = 1; bits < 256; bits++) {
    const sum = [0, 0, 0, 0];
    masks.forEach((mask, number) => {
      if (!((bits >> number) & 1) || !shown[number]) return;
      sum[3]++;
      for (const c of [0, 1, 2]) sum[c] += parseInt(mask.colour.slice(1 + 2 * c, 3 + 2 * c), 16);
    });
    if (!sum[3]) continue;
    const [red, green, blue] = sum.slice(0, 3).map((one) => Math.round(one / sum[3]));
    table[bits] = 0x1000000 | (blue << 16) | (green << 8) | red;
  }
  return table;
}

/** `under` with `part` of 256 of the colour `over`. */
function blend(under, over, part) {
  const rest = 256 - part;
  const red = ((under & 255) * rest + (over & 255) * part) >> 8;
  const green = (((under >> 8) & 255) * rest + ((over >> 8) & 255) * part) >> 8;
  const blue = (((under >> 16) & 255) * rest + ((over >> 16) & 255) * part) >> 8;
  return (BLACK | (blue << 16) | (green << 8) | red) >>> 0;
}

/** The bits of a mask of a pixel that some neighbour has not. */
function edges(mask, at, column, columns, row, rows) {
  const here = mask[at];
  const left = column ? mask[at - 1] : 0, right = column + 1 < columns ? mask[at + 1] : 0;
  const above = row ? mask[at - columns] : 0, below = row + 1 < rows ? mask[at + columns] : 0;
  return here & ~(left & right & above & below);
}
