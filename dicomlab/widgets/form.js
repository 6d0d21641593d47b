// A form for the keys of a query. Fields and what is typed in go to and fro as messages and are no state of the widget.

const TELL = 150; // ms after the last key before the kernel is told what is typed in

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function input(type, id, label) {
  const made = make("input", { type, id, autocomplete: "off", spellcheck: false });
  made.setAttribute("data-lm-suppress-shortcuts", "true"); // or a key typed here is a command to the notebook
  if (label) made.setAttribute("aria-label", label);
  return made;
}

// A field: its element, and functions to get and put what is in it.
function field(facts, id) {
  const { kind, label, hint, choices } = facts;
  const problem = make("div", { className: "dicomlab-problem", id: `${id}-problem` });
  const head = make("label", { textContent: label, htmlFor: id, title: facts.key });
  const row = make("div", { className: "dicomlab-inputs" });
  let get, put;
  if (kind === "date" || kind === "time") {
    const ends = [input(kind, id, `${label}, from`), input(kind, `${id}-to`, `${label}, to`)];
    row.append(ends[0], make("span", { textContent: "to" }), ends[1]);
    if (kind === "date") {
      const today = make("button", { type: "button", textContent: "today" });
      today.addEventListener("click", () => {
        const now = new Date();
        const pad = (number) => String(number).padStart(2, "0");
        for (const end of ends) end.value = `${now.getFullYear()}-${pad(now.getMonth() + 1)}-${pad(now.getDate())}`;
        ends[0].dispatchEvent(new Event("input", { bubbles: true }));
      });
      today.setAttribute("data-lm-suppress-shortcuts", "true");
      row.append(today);
    }
    get = () => ends.map((end) => end.value);
    put = (value) => ends.forEach((end, place) => { end.value = value?.[place] ?? ""; });
  } else if (kind === "choice") {
    const boxes = choices.map((choice) => Object.assign(input("checkbox", `${id}-${choice}`), { value: choice }));
    const others = Object.assign(input("text", id, `${label}, others`), { placeholder: hint, size: 8 });
    row.append(...boxes.map((box) => make("label", { className: "dicomlab-choice" }, box, box.value)), others);
    row.setAttribute("role", "group");
    row.setAttribute("aria-label", label);
    get = () => [
      ...boxes.filter((box) => box.checked).map((box) => box.value),
      ...others.value.split(/[\s,\\]+/).filter(Boolean),
    ];
    put = (value) => {
      const wanted = value ?? [];
      for (const box of boxes) box.checked = wanted.includes(box.value);
      others.value = wanted.filter((one) => !choices.includes(one)).join(" ");
    };
  } else {
    const text = Object.assign(input("text", id), { placeholder: hint });
    text.setAttribute("aria-describedby", problem.id);
    row.append(text);
    get = () => text.value;
    put = (value) => { text.value = value ?? ""; };
  }
  return { key: facts.key, element: [head, make("div", {}, row, problem)], problem, get, put };
}

function render({ model, el }) {
  el.classList.add("dicomlab-form");
  const id = `dicomlab-form-${Math.random().toString(36).slice(2)}`; // each form loads this module anew
  let fields = [];
  let timer = null;
  const form = make("form", { noValidate: true });
  const grid = make("div", { className: "dicomlab-fields" });
  const ask = make("button", { type: "submit" });
  const clear = make("button", { type: "button", textContent: "Clear" });
  const code = make("code", {});
  const status = make("div", { className: "dicomlab-status" });
  status.setAttribute("role", "status");
  status.textContent = "What is typed in is not kept in the notebook: run the cell to fill this form in.";
  for (const button of [ask, clear]) button.setAttribute("data-lm-suppress-shortcuts", "true");
  const foot = make("div", { className: "dicomlab-foot" }, ask, clear, code);
  form.append(grid, foot, status);
  foot.hidden = true;
  el.append(form);

  const entered = () => Object.fromEntries(fields.map((one) => [one.key, one.get()]));
  function tell(kind) {
    clearTimeout(timer);
    model.send({ kind, entered: entered() });
  }
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => tell("entered"), TELL); });
  form.addEventListener("submit", (event) => { event.preventDefault(); tell("submit"); });
  form.addEventListener("keydown", (event) => event.stopPropagation());
  clear.addEventListener("click", () => { for (const one of fields) one.put(); tell("entered"); });

  function remarks(message) {
    for (const one of fields) one.problem.textContent = message.problems[one.key] ?? "";
    code.textContent = message.code;
    ask.disabled = Object.keys(message.problems).length > 0;
  }
  function said(message) {
    status.textContent = message.status;
    form.setAttribute("aria-busy", String(message.busy));
  }
  function hear(message) {
    if (message.kind === "content") {
      fields = message.fields.map((facts, place) => field(facts, `${id}-${place}`));
      grid.replaceChildren(...fields.flatMap((one) => one.element));
      for (const one of fields) one.put(message.entered[one.key]);
      ask.textContent = message.button;
      foot.hidden = false;
      remarks(message);
      said(message);
    } else if (message.kind === "remarks") remarks(message);
    else if (message.kind === "status") said(message);
  }
  model.on("msg:custom", hear);
  model.send({ kind: "ready" });
  return () => {
    clearTimeout(timer);
    model.off("msg:custom", hear);
  };
}

export default { render };
