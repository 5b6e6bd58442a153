// Side by side: names that light up, arrows between steps, one side only,
// and copying the true source.

const CHOICE = "side-by-side";

// In code an element's text is its name; in an equation it has another.
function nameOf(element) {
  return element?.dataset.name || element?.textContent;
}

function lightUp(name, within) {
  for (const element of document.querySelectorAll(".lit")) {
    element.classList.remove("lit");
  }
  if (!name) return;
  for (const element of within.querySelectorAll("[data-name]")) {
    if (nameOf(element) === name) element.classList.add("lit");
  }
}

// A function's equation stands above its steps, in the same section.
function lit(event) {
  const named = event.target.closest?.("[data-name]");
  const within = event.target.closest?.("section") ?? document;
  lightUp(nameOf(named), within);
}

function moveBetweenSteps(event) {
  const step = event.target.closest(".step");
  if (!step || event.target !== step) return;
  const steps = [...step.parentElement.children];
  const at = steps.indexOf(step);
  const last = steps.length - 1;
  const to = {
    ArrowDown: Math.min(at + 1, last),
    ArrowUp: Math.max(at - 1, 0),
    Home: 0,
    End: last,
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  step.tabIndex = -1;
  steps[to].tabIndex = 0;
  steps[to].focus();
}

async function copy(button) {
  const sources = button
    .closest(".side-by-side")
    .querySelectorAll("template.source");
  const source = sources[Number(button.dataset.side)].innerHTML;
  const text = new DOMParser().parseFromString(source, "text/html");
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text.documentElement.textContent);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed to copy";
  }
  setTimeout(() => (button.textContent = before), 1500);
}

function stored() {
  try {
    return localStorage.getItem(CHOICE) ?? "both";
  } catch {
    return "both"; // a browser that keeps nothing for files
  }
}

function showSides(choice) {
  document.documentElement.dataset.sideBySide = choice;
  for (const button of document.querySelectorAll("button.view")) {
    button.setAttribute("aria-pressed", button.dataset.view === choice);
  }
}

function choose(choice) {
  showSides(choice);
  try {
    localStorage.setItem(CHOICE, choice);
  } catch {
    // The choice then holds for this page.
  }
}

showSides(stored());
// A choice made in another page, or just before this one was loaded again.
window.addEventListener("storage", (event) => {
  if (event.key === CHOICE) showSides(event.newValue ?? "both");
});
document.addEventListener("pointerover", lit);
document.addEventListener("focusin", lit);
document.addEventListener("keydown", moveBetweenSteps);
document.addEventListener("click", (event) => {
  const button = event.target.closest(".side-by-side button");
  if (button?.matches(".view")) choose(button.dataset.view);
  if (button?.matches(".copy")) copy(button);
});
