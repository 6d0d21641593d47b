// The viewer: its state, what moves it (wheel, drag, keys, the kernel, linked viewers) and what it tells the kernel.

const SYNCED = ["plane", "cursor", "element", "window", "three", "invert", "crosshair", "overlay", "opacity"];
const REST = 150; // ms without a change after which the kernel is told
const PLACES = "dicomlab-place"; // event of linked viewers of this page

class Viewer {
  constructor(model, root) {
    Object.assign(this, { model, root, tool: "window", smooth: true, views: [], playing: null, times: [] });
    this.state = Object.fromEntries(SYNCED.map((name) => [name, model.get(name)]));
    this.told = Object.fromEntries(SYNCED.map((name) => [name, JSON.stringify(this.state[name])]));
    this.say = element("p", { class: "dlv-waiting", role: "status", text: "The voxels come from the kernel …" });
    root.classList.add("dlv");
    root.setAttribute("role", "group");
    root.style.setProperty("--dlv-height", `${model.get("height")}px`);
    root.append(this.say);
    this.heard = (content, buffers) => this.receive(content, buffers);
    this.changed = SYNCED.map((name) => [`change:${name}`, () => this.fromKernel(name)]);
    this.linked = (event) => this.follow(event.detail);
    model.on("msg:custom", this.heard);
    for (const [event, call] of this.changed) model.on(event, call);
    window.addEventListener(PLACES, this.linked);
    this.slow = setTimeout(() => {
      if (!this.words) this.say.textContent = "The voxels are in the kernel, which is busy or gone: wait, or run the cell again.";
    }, 4000);
    model.send({ kind: "hello" });
  }

  remove() {
    this.tell();
    clearTimeout(this.slow);
    clearTimeout(this.rest);
    cancelAnimationFrame(this.frame);
    this.play(false);
    this.model.off("msg:custom", this.heard);
    for (const [event, call] of this.changed) this.model.off(event, call);
    window.removeEventListener(PLACES, this.linked);
    for (const observer of this.observers || []) observer.disconnect();
    this.voxels = null;
  }

  // ---------------------------------------------------------------- what the kernel says
  receive(content, buffers) {
    if (content.kind === "words" && !this.words) this.begin(content);
    else if (content.kind === "piece") this.voxels?.piece(content, buffers[0]);
    else if (content.kind === "plane") this.voxels?.singleCame(content, buffers[0]);
    else if (content.kind === "error") this.notes(`The kernel says: ${content.text}`);
  }

  fromKernel(name) {
    const value = this.model.get(name), text = JSON.stringify(value);
    if (text === this.told[name]) return; // the echo of what was told
    this.told[name] = text;
    this.state[name] = value;
    if (name === "window" || name === "invert") this.colour();
    if (name === "three" || name === "plane") this.arrange();
    if (this.words) this.later();
  }

  /** Something moved here: draw, and tell the kernel when it rests. */
  set(changes) {
    Object.assign(this.state, changes);
    if ("window" in changes || "invert" in changes) this.colour();
    if ("three" in changes || "plane" in changes) this.arrange();
    this.later();
    clearTimeout(this.rest);
    this.rest = setTimeout(() => this.tell(), REST);
    if ("cursor" in changes) this.share();
  }

  tell() {
    let news = false;
    for (const name of SYNCED) {
      const text = JSON.stringify(this.state[name]);
      if (text === this.told[name]) continue;
      this.told[name] = text;
      this.model.set(name, this.state[name]);
      news = true;
    }
    if (news) this.model.save_changes();
    if (this.words) this.live.textContent = this.spoken();
  }

  /** Let the viewers of the same group go to the same place; no kernel is needed. */
  share() {
    const group = this.model.get("group");
    if (!group || !this.words.matrix) return;
    const position = this.geometry.position(this.state.cursor);
    window.dispatchEvent(new CustomEvent(PLACES, { detail: { group, from: this, position } }));
  }

  follow({ group, from, position }) {
    if (!this.words?.matrix || from === this || group !== this.model.get("group")) return;
    if (from.model.get("session") === this.model.get("session")) return; // the same viewer, shown twice
    this.state.cursor = this.geometry.nearest(position);
    this.later();
    clearTimeout(this.rest);
    this.rest = setTimeout(() => this.tell(), REST);
  }

  // ---------------------------------------------------------------- what is on the page
  begin(words) {
    clearTimeout(this.slow);
    this.words = words;
    this.geometry = new Geometry(words);
    this.voxels = new Voxels(words, (message) => this.model.send(message), () => this.later());
    this.masksShown = words.masks.map(() => true);
    this.doseShown = true;
    this.first = this.state.window;
    this.tables = {};
    this.colour();
    this.views = words.panes.map((pane) => new PaneView(this, pane));
    for (const view of this.views) this.listen(view);
    this.root.setAttribute("aria-label", `Viewer of ${words.title}`);
    this.root.replaceChildren(...this.parts());
    this.observers = [new ResizeObserver(() => this.later()), new IntersectionObserver(() => this.later())];
    for (const one of [this.root, ...this.views.map((view) => view.root)])
      for (const observer of this.observers) observer.observe(one);
    this.arrange();
    this.live.textContent = this.spoken();
    this.draw();
  }

  parts() {
    const { words } = this, upper = (text) => text[0].toUpperCase() + text.slice(1);
    this.planeButtons = choice("Plane", [
      ...words.panes.map((pane, number) => [pane.name, upper(pane.name), this.letter(number), `plane ${pane.name}`]),
      ["three", "Three", "t", "three planes at once"],
    ], (name) => this.set(name === "three" ? { three: !this.state.three } : { plane: name, three: false })); // prettier-ignore
    this.toolButtons = choice("Dragging", TOOLS, (name) => this.use(name));
    this.presets = element("select", { "aria-label": "Window", title: "Window (1 to 9)" }, element("option", { value: "", text: "Window …" }),
      ...words.presets.map(([name], number) => element("option", { value: String(number), text: number < 9 ? `${number + 1}  ${name}` : name }))); // prettier-ignore
    this.presets.addEventListener("change", () => this.preset(Number(this.presets.value)));
    this.invertButton = button("Invert", "i", "Invert grey", () => this.set({ invert: !this.state.invert }));
    this.playButton = button("Play", "space", "Play or stop", () => this.play(!this.playing));
    const colour = words.channels > 1;
    const bar = element("div", { class: "dlv-bar", role: "toolbar", "aria-label": "Viewer" },
      element("strong", { class: "dlv-title", text: words.title }), this.planeButtons, this.toolButtons,
      ...(colour || !words.presets.length ? [] : [this.presets, this.invertButton]), this.playButton,
      button("Reset", "0", "Whole picture and first window", () => this.reset()), button("?", "?", "List of keys", () => this.help())); // prettier-ignore
    this.sliders = [slider("slice", 2, (index) => this.slice(index)), ...words.front.map((one, number) => slider(one.name, one.labels.length, (index) => this.go(number, index)))];
    const scroll = element("div", { class: "dlv-sliders" }, ...this.sliders);
    this.scroll = scroll;
    this.readout = element("span", { class: "dlv-readout" });
    this.shown = element("span", { class: "dlv-window" });
    this.ramp = element("span", { class: "dlv-ramp", "aria-hidden": "true" });
    this.live = element("span", { class: "dlv-live", role: "status", "aria-live": "polite" });
    this.loading = element("progress", { class: "dlv-progress", max: "1", "aria-label": "Voxels that have come" });
    this.noted = element("span", { class: "dlv-notes" });
    this.grid = element("div", { class: "dlv-panes" }, ...this.views.map((view) => view.root));
    const status = element("div", { class: "dlv-status" }, this.readout, this.shown, ...(colour ? [] : [this.ramp]), this.live);
    const foot = element("div", { class: "dlv-foot" }, element("span", { text: "research use, not for diagnosis" }), this.noted, this.loading);
    this.notes();
    return [bar, this.grid, scroll, status, legend(this), foot];
  }

  notes(more = "") {
    const { words, voxels } = this;
    if (!words) {
      this.say.textContent = more;
      return;
    }
    const limit = voxels.whole ? [] : [`larger than ${words.limit} MB: slices come one at a time`];
    this.noted.textContent = [...words.notes, ...limit, more].filter(Boolean).join(" · ");
  }

  /** Which planes are shown, and which button is pressed. */
  arrange() {
    if (!this.words) return;
    const focused = this.grid.contains(document.activeElement);
    this.grid.classList.toggle("dlv-three", this.state.three);
    for (const view of this.views) view.root.hidden = !this.state.three && view.pane.name !== this.state.plane;
    if (focused) this.active.root.focus({ preventScroll: true }); // else keys would go to the notebook
    this.planeButtons.mark(this.state.three ? "three" : this.state.plane);
    this.toolButtons.mark(this.tool);
    const input = this.sliders[0].querySelector("input");
    input.max = String(this.words.shape[this.active.across] - 1);
    this.later();
  }

  get active() {
    return this.views.find((view) => view.pane.name === this.state.plane) || this.views[0];
  }

  get flatElement() {
    return this.state.element.reduce((flat, index, number) => flat * this.words.front[number].labels.length + index, 0);
  }

  colour() {
    if (!this.words) return;
    const [layer] = this.voxels.layers, { dose } = this.words;
    if (this.words.channels === 1) this.tables.grey = greyTable(layer, this.state.window, this.state.invert, this.tables.grey);
    this.tables.masks = [];
    for (let first = 0; first < this.words.masks.length; first += 8)
      this.tables.masks.push(maskTable(this.words.masks.slice(first, first + 8), this.masksShown.slice(first, first + 8)));
    if (dose && !this.tables.dose) this.tables.dose = washTable(this.voxels.layers.find((one) => one.kind === "dose"), dose.highest);
  }

  later() {
    if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw(); }); // prettier-ignore
  }

  draw() {
    if (!this.words || !this.voxels) return;
    const start = performance.now();
    for (const view of this.views) if (!view.root.hidden) view.draw();
    this.times.push(performance.now() - start);
    if (this.times.length > 500) this.times.shift();
    this.status();
    this.voxels.fill(this.state.cursor[0], this.flatElement);
    this.voxels.prefetch(this.active.pane.across, this.active.index, this.flatElement, this.words.shape[this.active.across]);
  }

  status() {
    const { words, state } = this, { active } = this;
    this.sliders[0].show(active.index, `${active.index + 1} / ${words.shape[active.across]}`);
    this.sliders[0].hidden = words.shape[active.across] < 2;
    words.front.forEach((one, number) => this.sliders[number + 1].show(state.element[number], one.labels[state.element[number]]));
    if (words.channels === 1) {
      const [centre, width] = state.window, short = (value) => String(Number(value.toPrecision(5)));
      this.shown.textContent = `window ${short(centre)} / ${short(width)}${words.units ? ` ${words.units}` : ""}`;
      this.ramp.dataset.low = short(centre - width / 2);
      this.ramp.dataset.high = short(centre + width / 2);
      this.ramp.classList.toggle("dlv-inverted", state.invert);
    }
    this.invertButton.setAttribute("aria-pressed", String(state.invert));
    const part = this.voxels.whole ? this.voxels.progress : 1;
    this.loading.hidden = part >= 1;
    this.loading.value = part;
    const pointed = this.views.find((view) => view.pointer && !view.root.hidden);
    this.readout.textContent = this.read(pointed ? pointed.pointer : state.cursor, pointed || active);
  }

  /** Value and place of a voxel. */
  read(cursor, view) {
    const { words, voxels } = this;
    const value = voxels.value(0, cursor, this.flatElement, view.pane.across);
    const parts = [];
    if (Array.isArray(value)) parts.push(`red ${value[0]}  green ${value[1]}  blue ${value[2]}`);
    else if (value !== null) parts.push(this.number(value, voxels.layers[0]) + (words.units ? ` ${words.units}` : ""));
    voxels.layers.forEach((layer, number) => {
      if (!this.state.overlay || layer.kind === "image") return;
      const over = voxels.value(number, cursor, 0, view.pane.across);
      if (layer.kind === "dose" && over !== null && !Number.isNaN(over)) parts.push(`${words.dose.name} ${this.number(over, layer)} ${words.dose.units}`.trim());
      if (layer.kind === "masks" && over) words.masks.slice(8 * (number - 1), 8 * number).forEach((mask, bit) => { if ((over >> bit) & 1) parts.push(mask.name); }); // prettier-ignore
    });
    const position = this.geometry.position(cursor);
    parts.push(position ? placeText(position) : `row ${cursor[1]}, column ${cursor[2]}`);
    return parts.join("   ·   ");
  }

  number(value, layer) {
    if (Number.isNaN(value)) return "no value";
    if (layer.exact) return String(Number(value.toPrecision(7)));
    return String(Number(value.toFixed(Math.max(0, Math.min(12, -1 - Math.floor(Math.log10(layer.slope)))))));
  }

  spoken() {
    const { active } = this;
    return `${active.pane.name} slice ${active.index + 1} of ${this.words.shape[active.across]}, ${this.shown.textContent}`;
  }
}

Object.assign(Viewer.prototype, MOVES);

export default {
  render({ model, el }) {
    const root = document.createElement("div");
    el.append(root);
    const viewer = new Viewer(model, root);
    root.dicomlab = viewer; // for the console, and for tests
    return () => viewer.remove();
  },
};
