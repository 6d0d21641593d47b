// One plane on one canvas: voxels to colours to the screen, crosshair, letters, and what the pointer is over.

/** An element with text; text is never markup. What can be focused keeps its keys from the notebook. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = value;
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  if (["BUTTON", "SELECT", "INPUT"].includes(made.tagName) || made.hasAttribute("tabindex"))
    made.setAttribute("data-lm-suppress-shortcuts", "true");
  made.append(...children);
  return made;
}

class PaneView {
  constructor(viewer, pane) {
    Object.assign(this, { viewer, pane, zoom: 1, pan: [0, 0], pointer: null });
    this.canvas = element("canvas", { "aria-hidden": "true" });
    const sides = ["top", "bottom", "left", "right"];
    this.letters = sides.map((side, number) => element("span", { class: `dlv-letter dlv-${side}`, text: pane.letters[number] }));
    this.caption = element("span", { class: "dlv-caption" });
    this.note = element("span", { class: "dlv-note" });
    this.root = element(
      "div",
      { class: "dlv-pane", tabindex: "0", role: "application", "data-plane": pane.name },
      this.canvas, ...this.letters, this.caption, this.note,
    );
    this.raster = document.createElement("canvas");
    this.across = DIMENSIONS.indexOf(pane.across);
    [this.rows, this.columns] = DIMENSIONS.filter((name) => name !== pane.across);
  }

  /** The canvas as large as the pane, and where the voxels lie on it; false where the pane is not laid out. */
  fit() {
    const box = this.root.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    if (box.width < 2 || box.height < 2) return false; // not laid out, as in a cell far away
    const width = Math.max(1, Math.round(box.width * ratio)), height = Math.max(1, Math.round(box.height * ratio));
    if (this.canvas.width !== width || this.canvas.height !== height)
      Object.assign(this.canvas, { width, height });
    this.ratio = ratio;
    const [wide, high] = this.viewer.geometry.size(this.pane);
    this.scale = Math.min((width - 8 * ratio) / wide, (height - 8 * ratio) / high) * this.zoom;
    const middle = [width / 2 + this.pan[0] * ratio, height / 2 + this.pan[1] * ratio];
    this.matrix = this.viewer.geometry.transform(this.pane, this.scale, middle);
    return true;
  }

  get index() {
    return this.viewer.state.cursor[this.across];
  }

  draw() {
    const { viewer } = this;
    if (!this.fit()) return;
    const context = this.canvas.getContext("2d", { alpha: false });
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    const whole = this.paint();
    if (whole) {
      context.setTransform(...this.matrix);
      context.imageSmoothingEnabled = viewer.smooth;
      context.imageSmoothingQuality = "medium";
      context.drawImage(this.raster, 0, 0);
      context.setTransform(1, 0, 0, 1, 0, 0);
    }
    this.note.textContent = whole ? "" : "on its way …";
    if (viewer.state.crosshair) this.cross(context);
    this.words();
  }

  /** The plane into the raster; false where its voxels have not come. */
  paint() {
    const { viewer, pane } = this, { voxels, geometry } = viewer;
    const vertical = geometry.axes[this.rows], horizontal = geometry.axes[this.columns];
    const rows = vertical.lines, columns = horizontal.lines;
    const get = (number) => voxels.plane(number, pane.across, this.index, viewer.flatElement);
    const image = get(0);
    if (!image) return false;
    if (!this.pixels || this.pixels.width !== columns || this.pixels.height !== rows) {
      Object.assign(this.raster, { width: columns, height: rows });
      this.pixels = new ImageData(columns, rows);
      this.out = new Uint32Array(this.pixels.data.buffer);
    }
    const mapped = vertical.map || horizontal.map;
    const out = mapped ? new Uint32Array(vertical.count * horizontal.count) : this.out;
    const layer = voxels.layers[0];
    if (voxels.channels > 1) {
      for (let at = 0, from = 0; at < out.length; at++, from += 3)
        out[at] = BLACK | (image[from + 2] << 16) | (image[from + 1] << 8) | image[from];
    } else {
      const table = viewer.tables.grey, bits = table.length - 1;
      if (layer.dtype.startsWith("int")) for (let at = 0; at < out.length; at++) out[at] = table[image[at] & bits];
      else for (let at = 0; at < out.length; at++) out[at] = table[image[at]];
    }
    if (viewer.state.overlay) this.lay(out, vertical.count, horizontal.count, get);
    if (mapped) {
      for (let row = 0, to = 0; row < rows; row++)
        for (let column = 0; column < columns; column++, to++) {
          const k = vertical.map ? vertical.map[row] : row, i = horizontal.map ? horizontal.map[column] : column;
          this.out[to] = k < 0 || i < 0 ? BLACK : out[k * horizontal.count + i];
        }
    }
    this.raster.getContext("2d").putImageData(this.pixels, 0, 0);
    return true;
  }

  /** Dose and masks over the greys. */
  lay(out, rows, columns, get) {
    const { viewer } = this, part = Math.round(256 * viewer.state.opacity);
    viewer.voxels.layers.forEach((layer, number) => {
      if (layer.kind === "image") return;
      const data = get(number);
      if (!data) return;
      if (layer.kind === "dose") {
        const table = viewer.tables.dose, bits = table.length - 1;
        if (!viewer.doseShown) return;
        for (let at = 0; at < out.length; at++) {
          const colour = table[data[at] & bits];
          if (colour) out[at] = blend(out[at], colour, part);
        }
        return;
      }
      const table = viewer.tables.masks[number - 1];
      for (let row = 0, at = 0; row < rows; row++)
        for (let column = 0; column < columns; column++, at++) {
          const colour = data[at] && table[data[at]];
          if (!colour) continue;
          const rim = table[edges(data, at, column, columns, row, rows)];
          out[at] = rim ? blend(out[at], rim, Math.min(256, part * 2 + 64)) : blend(out[at], colour, part);
        }
    });
  }

  /** The place of the cursor on this plane, in pixels of the canvas. */
  place(cursor) {
    const axes = this.viewer.geometry.axes;
    const line = (name) => axes[name].line(cursor[DIMENSIONS.indexOf(name)]);
    return applied(this.matrix, [line(this.columns), line(this.rows)]);
  }

  cross(context) {
    const [x, y] = this.place(this.viewer.state.cursor), [a, b, c, d] = this.matrix;
    const gap = 10 * this.ratio, far = 4 * Math.max(this.canvas.width, this.canvas.height);
    context.lineWidth = this.ratio;
    context.strokeStyle = "rgba(255, 212, 121, 0.75)";
    context.beginPath();
    for (const [u, v] of [[a, b], [c, d]]) {
      const length = Math.hypot(u, v) || 1;
      for (const sign of [-1, 1]) {
        const [du, dv] = [(sign * u) / length, (sign * v) / length];
        context.moveTo(x + du * gap, y + dv * gap);
        context.lineTo(x + du * far, y + dv * far);
      }
    }
    context.stroke();
  }

  /** Indices k, j, i under a point of the page; null beside the voxels. */
  under(event) {
    const box = this.canvas.getBoundingClientRect();
    const point = [(event.clientX - box.left) * this.ratio, (event.clientY - box.top) * this.ratio];
    const [column, row] = undone(this.matrix, point);
    const axes = this.viewer.geometry.axes;
    const found = [...this.viewer.state.cursor];
    found[DIMENSIONS.indexOf(this.rows)] = axes[this.rows].index(row);
    found[DIMENSIONS.indexOf(this.columns)] = axes[this.columns].index(column);
    return found.includes(-1) ? null : found;
  }

  words() {
    const { viewer, pane } = this, count = viewer.words.shape[this.across];
    const at = viewer.words.axes[pane.across].at;
    const where = at ? `\n${pane.across} ${at[this.index].toFixed(1)} mm` : "";
    const tilt = Math.abs(pane.shear) > 0.001 ? "  tilted" : "";
    this.caption.textContent = `${pane.name} ${this.index + 1} / ${count}${where}${tilt}`;
    this.root.setAttribute("aria-label", `${pane.name} plane, slice ${this.index + 1} of ${count}. Press ? for the keys.`);
  }
}
