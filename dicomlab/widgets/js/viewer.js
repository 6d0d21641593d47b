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

  // ---------------------------------------------------------------- what moves it
  slice(index, view = this.active) {
    const cursor = [...this.state.cursor];
    cursor[view.across] = Math.max(0, Math.min(this.words.shape[view.across] - 1, index));
    if (cursor[view.across] !== this.state.cursor[view.across]) this.set({ cursor });
  }

  /** A step through slices, or where there is one alone, through what is in front: frames, time. */
  step(by, view = this.active) {
    const many = this.words.front.findIndex((one) => one.labels.length > 1);
    if (this.words.shape[view.across] === 1 && many >= 0) this.go(many, this.state.element[many] + by);
    else this.slice(view.index + by, view);
  }

  go(number, index) {
    const element = [...this.state.element];
    element[number] = Math.max(0, Math.min(this.words.front[number].labels.length - 1, index));
    if (element[number] !== this.state.element[number]) this.set({ element });
  }

  preset(number) {
    const found = this.words.presets[number];
    if (found) this.set({ window: [found[1], found[2]] });
    this.presets.value = "";
  }

  use(tool) {
    this.tool = tool;
    this.arrange();
  }

  reset() {
    for (const view of this.views) Object.assign(view, { zoom: 1, pan: [0, 0] });
    this.set({ window: this.first });
  }

  magnify(view, by, at = null) {
    const before = at && undone(view.matrix, at);
    view.zoom = Math.max(0.2, Math.min(40, view.zoom * by));
    if (at && view.fit()) {
      // the place under the pointer stays there
      const after = applied(view.matrix, before);
      view.pan = [view.pan[0] + (at[0] - after[0]) / view.ratio, view.pan[1] + (at[1] - after[1]) / view.ratio];
    }
    this.later();
  }

  play(on) {
    clearInterval(this.playing);
    this.playing = null;
    if (on) {
      const times = this.words.front.findIndex((one) => one.labels.length > 1);
      this.playing = setInterval(() => {
        if (times >= 0) this.go(times, (this.state.element[times] + 1) % this.words.front[times].labels.length);
        else this.slice((this.active.index + 1) % this.words.shape[this.active.across]);
      }, 100);
    }
    if (this.playButton) this.playButton.textContent = on ? "Stop" : "Play";
  }

  help() {
    const open = this.root.querySelector(".dlv-help");
    if (open) {
      open.remove();
      this.active.root.focus();
      return;
    }
    const made = help(() => this.help());
    this.root.append(made);
    made.querySelector("button").focus();
  }

  listen(view) {
    const { root } = view;
    root.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.ctrlKey) return this.magnify(view, event.deltaY < 0 ? 1.15 : 1 / 1.15, this.at(view, event));
      view.wheel = (view.wheel || 0) + (event.deltaMode ? event.deltaY * 40 : event.deltaY);
      const steps = Math.trunc(view.wheel / 40); // a notch is 100 or more, a touch pad sends many small ones
      if (!steps) return undefined;
      view.wheel = 0;
      return this.step(Math.abs(event.deltaY) >= 40 ? Math.sign(steps) : steps, view);
    }, { passive: false }); // prettier-ignore
    root.addEventListener("pointerdown", (event) => this.drag(view, event));
    root.addEventListener("pointermove", (event) => { view.pointer = view.under(event); this.status(); }); // prettier-ignore
    root.addEventListener("pointerleave", () => { view.pointer = null; this.status(); }); // prettier-ignore
    root.addEventListener("contextmenu", (event) => event.preventDefault());
    root.addEventListener("focus", () => { if (this.state.plane !== view.pane.name) this.set({ plane: view.pane.name }); }); // prettier-ignore
    if (!this.keys) {
      this.keys = (event) => this.key(event);
      this.root.addEventListener("keydown", this.keys);
    }
  }

  at(view, event) {
    const box = view.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * view.ratio, (event.clientY - box.top) * view.ratio];
  }

  drag(view, event) {
    event.preventDefault();
    view.root.focus();
    let tool = this.tool;
    if (event.button === 1 || event.shiftKey) tool = "pan";
    else if (event.button === 2) tool = "zoom";
    const start = { x: event.clientX, y: event.clientY, window: this.state.window, pan: [...view.pan], at: this.at(view, event) };
    let last = event.clientY, moved = false;
    const move = (now) => {
      const dx = now.clientX - start.x, dy = now.clientY - start.y;
      moved = moved || Math.hypot(dx, dy) > 3;
      if (tool === "cross") this.point(view, now);
      else if (!moved) return;
      else if (tool === "pan") view.pan = [start.pan[0] + dx, start.pan[1] + dy];
      else if (tool === "zoom") this.magnify(view, Math.exp((last - now.clientY) / 150), start.at);
      else if (start.window) {
        const [centre, width] = start.window, rate = Math.max(width, 1e-9) / 300;
        this.set({ window: [centre + dy * rate, Math.max(width * Math.exp(dx / 200), 1e-6)] });
      }
      last = now.clientY;
      this.later();
    };
    const end = (now) => {
      view.root.removeEventListener("pointermove", move);
      view.root.removeEventListener("pointerup", end);
      view.root.removeEventListener("pointercancel", end);
      if (!moved && event.button === 0) this.point(view, now); // a click points, whatever dragging does
    };
    view.root.setPointerCapture(event.pointerId);
    view.root.addEventListener("pointermove", move);
    view.root.addEventListener("pointerup", end);
    view.root.addEventListener("pointercancel", end);
    if (tool === "cross") this.point(view, event);
  }

  point(view, event) {
    const cursor = view.under(event);
    if (cursor && String(cursor) !== String(this.state.cursor)) this.set({ cursor });
  }

  /** The crosshair a voxel to a side of the screen. */
  nudge(right, down) {
    const { pane } = this.active, cursor = [...this.state.cursor];
    for (const [name, by, back] of [[pane.right, right, pane.left], [pane.down, down, pane.up]]) {
      const number = DIMENSIONS.indexOf(name);
      cursor[number] = Math.max(0, Math.min(this.words.shape[number] - 1, cursor[number] + (back ? -by : by)));
    }
    this.set({ cursor });
  }

  key(event) {
    const { target, key } = event;
    if (event.ctrlKey || event.metaKey) return;
    const open = this.root.querySelector(".dlv-help");
    if (key === "Escape" && open) return void this.help();
    const typed = target.tagName === "SELECT" || target.tagName === "INPUT" || (target.tagName === "BUTTON" && (key === " " || key === "Enter"));
    if (typed && key !== "?") return;
    if (this.act(event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  /** The key of a plane: a, c, s for axial, coronal, sagittal; without geometry in the order z, y, x. */
  letter(number) {
    return this.words.matrix ? this.words.panes[number].name[0] : "acs"[number];
  }

  /** What a key does; false where it does nothing. */
  act({ key, shiftKey, altKey }) {
    const { state, words } = this, view = this.active;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (key in arrows) {
      const [x, y] = arrows[key];
      if (altKey) this.nudge(x, y);
      else if (shiftKey) { view.pan = [view.pan[0] + 20 * x, view.pan[1] + 20 * y]; this.later(); } // prettier-ignore
      else if (y) this.step(y);
      else {
        const many = words.front.flatMap((one, number) => (one.labels.length > 1 ? [number] : []));
        if (many.length) this.go(many[0], state.element[many[0]] + x);
      }
      return true;
    }
    const last = words.shape[view.across] - 1;
    const [centre, width] = state.window || [0, 1];
    const grey = (window) => { if (state.window) this.set({ window }); }; // prettier-ignore
    const actions = {
      PageUp: () => this.step(-10),
      PageDown: () => this.step(10),
      Home: () => this.slice(0),
      End: () => this.slice(last),
      t: () => this.set({ three: !state.three }),
      x: () => this.set({ crosshair: !state.crosshair }),
      "[": () => grey([centre, width / 1.1]),
      "]": () => grey([centre, width * 1.1]),
      ",": () => grey([centre - width / 20, width]),
      ".": () => grey([centre + width / 20, width]),
      i: () => this.set({ invert: !state.invert }),
      "+": () => this.magnify(view, 1.15),
      "=": () => this.magnify(view, 1.15),
      "-": () => this.magnify(view, 1 / 1.15),
      0: () => this.reset(),
      n: () => { this.smooth = !this.smooth; this.later(); }, // prettier-ignore
      o: () => this.set({ overlay: !state.overlay }),
      "(": () => this.set({ opacity: Math.max(0, Number((state.opacity - 0.1).toFixed(2))) }),
      ")": () => this.set({ opacity: Math.min(1, Number((state.opacity + 0.1).toFixed(2))) }),
      " ": () => this.play(!this.playing),
      "?": () => this.help(),
    };
    for (const [name, , letter] of TOOLS) actions[letter] = () => this.use(name);
    words.presets.slice(0, 9).forEach((_, number) => (actions[number + 1] = () => this.preset(number)));
    words.panes.forEach((pane, number) => (actions[this.letter(number)] = () => this.set({ plane: pane.name, three: false })));
    const action = actions[key];
    if (!action) return false;
    action();
    return true;
  }
}

export default {
  render({ model, el }) {
    const root = document.createElement("div");
    el.append(root);
    const viewer = new Viewer(model, root);
    root.dicomlab = viewer; // for the console, and for tests
    return () => viewer.remove();
  },
};
