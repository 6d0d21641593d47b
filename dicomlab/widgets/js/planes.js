// Where voxels lie on the screen: from indices along z, y, x to millimetres and pixels, and back.
// All parts of the viewer are joined to one module (viewer.py); nothing here touches the network.

const DIMENSIONS = ["z", "y", "x"];

/** Along one dimension: the places of voxels, and the raster lines that show them (a gap stays empty). */
class Axis {
  constructor(count, { at, step }) {
    this.count = count;
    this.at = at;
    this.step = step; // mm of one raster line
    this.lines = count; // of the raster
    this.map = null; // raster line to index, -1 in a gap; null where they are equal
    if (!at || count < 2) return;
    const steps = at.slice(1).map((value, index) => Math.abs(value - at[index]));
    const least = Math.min(...steps);
    const length = Math.abs(at[count - 1] - at[0]);
    const mean = length / (count - 1);
    this.step = mean;
    if (steps.every((one) => Math.abs(one - mean) < 0.02) || !(least > 0)) return;
    this.lines = Math.min(4096, Math.round(length / least) + 1);
    this.step = length / (this.lines - 1);
    const sign = at[1] > at[0] ? 1 : -1;
    this.map = new Int32Array(this.lines);
    let nearest = 0;
    for (let line = 0; line < this.lines; line++) {
      const here = at[0] + sign * line * this.step;
      while (nearest + 1 < count && Math.abs(at[nearest + 1] - here) < Math.abs(at[nearest] - here)) nearest++;
      this.map[line] = Math.abs(at[nearest] - here) <= 0.75 * least ? nearest : -1;
    }
  }

  /** Index of the voxel at a raster line; -1 where there is none. */
  index(line) {
    const whole = Math.floor(line);
    if (whole < 0 || whole >= this.lines) return -1;
    return this.map ? this.map[whole] : whole;
  }

  /** The middle of a voxel, in raster lines. */
  line(index) {
    if (!this.map) return index + 0.5;
    return Math.abs(this.at[index] - this.at[0]) / this.step + 0.5;
  }

  nearest(place) {
    let best = 0;
    for (let index = 1; index < this.count; index++)
      if (Math.abs(this.at[index] - place) < Math.abs(this.at[best] - place)) best = index;
    return best;
  }
}

/** The solution of M @ (x, y, z) = point; M row by row. */
function solve(m, point) {
  const [a, b, c, d, e, f, g, h, i] = m;
  const determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  const inverse = [
    e * i - f * h, c * h - b * i, b * f - c * e,
    f * g - d * i, a * i - c * g, c * d - a * f,
    d * h - e * g, b * g - a * h, a * e - b * d,
  ]; // prettier-ignore
  return [0, 3, 6].map(
    (row) => (inverse[row] * point[0] + inverse[row + 1] * point[1] + inverse[row + 2] * point[2]) / determinant,
  );
}

class Geometry {
  constructor(words) {
    this.matrix = words.matrix;
    this.axes = {};
    DIMENSIONS.forEach((name, number) => (this.axes[name] = new Axis(words.shape[number], words.axes[name])));
  }

  /** Place of a voxel in the patient (LPS, mm); null without geometry. */
  position(cursor) {
    if (!this.matrix) return null;
    const [z, y, x] = DIMENSIONS.map((name, number) => this.axes[name].at[cursor[number]]);
    return [0, 3, 6].map((row) => this.matrix[row] * x + this.matrix[row + 1] * y + this.matrix[row + 2] * z);
  }

  nearest(position) {
    const [x, y, z] = solve(this.matrix, position);
    return [this.axes.z.nearest(z), this.axes.y.nearest(y), this.axes.x.nearest(x)];
  }

  /** Width and height of a plane in mm. */
  size(pane) {
    const right = this.axes[pane.right], down = this.axes[pane.down];
    return [right.lines * right.step, down.lines * down.step * Math.sqrt(1 - pane.shear ** 2)];
  }

  /**
   * From raster (column, row) to pixels of a canvas: [a, b, c, d, e, f] of setTransform.
   * The raster has the second of z, y, x that remain along its columns; the screen may show it turned.
   */
  transform(pane, scale, middle) {
    const [rows, columns] = DIMENSIONS.filter((name) => name !== pane.across);
    const vector = (name) => {
      const length = this.axes[name].step * scale;
      if (name === pane.right) return [pane.left ? -length : length, 0];
      const sign = pane.up ? -1 : 1;
      return [sign * length * pane.shear, sign * length * Math.sqrt(1 - pane.shear ** 2)];
    };
    const [a, b] = vector(columns), [c, d] = vector(rows);
    const half = [this.axes[columns].lines / 2, this.axes[rows].lines / 2];
    return [a, b, c, d, middle[0] - a * half[0] - c * half[1], middle[1] - b * half[0] - d * half[1]];
  }
}

function applied([a, b, c, d, e, f], [column, row]) {
  return [a * column + c * row + e, b * column + d * row + f];
}

function undone([a, b, c, d, e, f], [x, y]) {
  const determinant = a * d - b * c;
  return [(d * (x - e) - c * (y - f)) / determinant, (a * (y - f) - b * (x - e)) / determinant];
}

/** "R 12.0  A 3.5  S 40.0 mm" of a place in LPS. */
function placeText(position) {
  const letters = ["LR", "PA", "SI"];
  const parts = position.map((value, axis) => `${letters[axis][value < 0 ? 1 : 0]} ${Math.abs(value).toFixed(1)}`);
  return `${parts.join("  ")} mm`;
}
