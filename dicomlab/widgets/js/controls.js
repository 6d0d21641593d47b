// What can be pressed: buttons, sliders, the list of keys.

const TOOLS = [
  ["window", "Window", "w", "drag: up and down moves the centre, left and right the width"],
  ["cross", "Point", "p", "click or drag: the crosshair"],
  ["pan", "Pan", "d", "drag: the picture"],
  ["zoom", "Zoom", "z", "drag up: larger"],
];
const KEYS = [
  ["Up, Down, wheel", "slice"],
  ["Page Up, Page Down", "ten slices"],
  ["Home, End", "first and last slice"],
  ["Left, Right", "time, echo, … (the first; Tab leads to the sliders of others)"],
  ["a, c, s", "axial, coronal, sagittal plane"],
  ["t", "three planes at once"],
  ["Alt+arrows", "crosshair (of three planes the others follow)"],
  ["x", "crosshair shown or not"],
  ["1 to 9", "windows of the list"],
  ["[ ]", "window narrower, wider"],
  [", .", "centre of the window lower, higher"],
  ["i", "inverted"],
  ["+ -, Ctrl+wheel", "larger, smaller"],
  ["Shift+arrows", "move the picture"],
  ["0", "whole picture, window of the start"],
  ["n", "pixels sharp or smooth"],
  ["o", "masks and dose shown or not"],
  ["( )", "masks and dose fainter, stronger"],
  ["space", "play and stop"],
  ["w, p, d, z", "what dragging does: window, point, pan, zoom"],
  ["Shift+drag, middle button", "pan"],
  ["right button", "zoom"],
  ["?", "this list"],
];

/** A row of buttons of which one is pressed. */
function choice(label, options, chosen) {
  const buttons = options.map(([name, text, key, title]) => {
    const made = element("button", { type: "button", "data-name": name, text, title: `${title || text} (${key})`, "aria-keyshortcuts": key });
    made.addEventListener("click", () => chosen(name));
    return made;
  });
  const root = element("div", { class: "dlv-choice", role: "group", "aria-label": label }, ...buttons);
  root.mark = (...names) =>
    buttons.forEach((one) => one.setAttribute("aria-pressed", String(names.includes(one.dataset.name))));
  return root;
}

function button(text, key, title, pressed) {
  const made = element("button", { type: "button", text, title: `${title} (${key})`, "aria-label": title, "aria-keyshortcuts": key });
  made.addEventListener("click", pressed);
  return made;
}

function slider(label, count, moved) {
  const input = element("input", { type: "range", min: "0", max: String(count - 1), step: "1", "aria-label": label });
  const text = element("output", { class: "dlv-value" });
  input.addEventListener("input", () => moved(Number(input.value)));
  const root = element("label", { class: "dlv-slider" }, element("span", { text: label }), input, text);
  root.show = (index, words) => {
    input.value = String(index);
    input.setAttribute("aria-valuetext", words);
    text.textContent = words;
  };
  return root;
}

/** The list of keys, over the viewer. */
function help(closed) {
  const rows = KEYS.map(([key, what]) => element("tr", {}, element("th", { scope: "row", text: key }), element("td", { text: what })));
  const close = button("Close", "Escape", "Close the list of keys", closed);
  return element(
    "div", { class: "dlv-help", role: "dialog", "aria-label": "Keys of the viewer" },
    element("table", {}, element("tbody", {}, ...rows)), close,
  );
}

/** What lies over the images, each with a box to tick. */
function legend(viewer) {
  const items = viewer.words.masks.map((mask, number) => [mask.name, mask.colour, () => viewer.masksShown[number], (on) => (viewer.masksShown[number] = on)]);
  const dose = viewer.words.dose;
  if (dose) {
    const highest = `${Number(dose.highest.toPrecision(3))} ${dose.units}`.trim();
    items.push([`${dose.name}, to ${highest}`, "linear-gradient(90deg, #0080ff, #00ff80, #ffff00, #ff0000)", () => viewer.doseShown, (on) => (viewer.doseShown = on)]);
  }
  const root = element("div", { class: "dlv-legend", role: "group", "aria-label": "Masks and dose" });
  for (const [name, colour, shown, set] of items) {
    const box = element("input", { type: "checkbox" });
    box.checked = shown();
    box.addEventListener("change", () => { set(box.checked); viewer.colour(); viewer.later(); }); // prettier-ignore
    const patch = element("span", { class: "dlv-patch" });
    patch.style.background = colour;
    root.append(element("label", {}, box, patch, element("span", { text: name })));
  }
  return root;
}
