// What moves the viewer: wheel, drags, keys, and the steps they make. The methods belong to Viewer.

const MOVES = {
  slice(index, view = this.active) {
    const cursor = [...this.state.cursor];
    cursor[view.across] = Math.max(0, Math.min(this.words.shape[view.across] - 1, index));
    if (cursor[view.across] !== this.state.cursor[view.across]) this.set({ cursor });
  },

  /** A step through slices, or where there is one alone, through what is in front: frames, time. */
  step(by, view = this.active) {
    const many = this.words.front.findIndex((one) => one.labels.length > 1);
    if (this.words.shape[view.across] === 1 && many >= 0) this.go(many, this.state.element[many] + by);
    else this.slice(view.index + by, view);
  },

  go(number, index) {
    const element = [...this.state.element];
    element[number] = Math.max(0, Math.min(this.words.front[number].labels.length - 1, index));
    if (element[number] !== this.state.element[number]) this.set({ element });
  },

  preset(number) {
    const found = this.words.presets[number];
    if (found) this.set({ window: [found[1], found[2]] });
    this.presets.value = "";
  },

  use(tool) {
    this.tool = tool;
    this.arrange();
  },

  reset() {
    for (const view of this.views) Object.assign(view, { zoom: 1, pan: [0, 0] });
    this.set({ window: this.first });
  },

  magnify(view, by, at = null) {
    const before = at && undone(view.matrix, at);
    view.zoom = Math.max(0.2, Math.min(40, view.zoom * by));
    if (at && view.fit()) {
      // the place under the pointer stays there
      const after = applied(view.matrix, before);
      view.pan = [view.pan[0] + (at[0] - after[0]) / view.ratio, view.pan[1] + (at[1] - after[1]) / view.ratio];
    }
    this.later();
  },

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
  },

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
  },

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
  },

  at(view, event) {
    const box = view.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * view.ratio, (event.clientY - box.top) * view.ratio];
  },

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
  },

  point(view, event) {
    const cursor = view.under(event);
    if (cursor && String(cursor) !== String(this.state.cursor)) this.set({ cursor });
  },

  /** The crosshair a voxel to a side of the screen. */
  nudge(right, down) {
    const { pane } = this.active, cursor = [...this.state.cursor];
    for (const [name, by, back] of [[pane.right, right, pane.left], [pane.down, down, pane.up]]) {
      const number = DIMENSIONS.indexOf(name);
      cursor[number] = Math.max(0, Math.min(this.words.shape[number] - 1, cursor[number] + (back ? -by : by)));
    }
    this.set({ cursor });
  },

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
  },

  /** The key of a plane: a, c, s for axial, coronal, sagittal; without geometry in the order z, y, x. */
  letter(number) {
    return this.words.matrix ? this.words.panes[number].name[0] : "acs"[number];
  },

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
  },
};
