// The switches of "Break it": one version of a step at a time.

document.addEventListener("change", (event) => {
  const select = event.target.closest("select.version");
  if (!select) return;
  const versions = select
    .closest(".break-it")
    .querySelectorAll("div.version");
  for (const version of versions) {
    version.hidden = version.dataset.version !== select.value;
  }
});

// The field above an index: only the names that contain what is typed.

for (const filter of document.querySelectorAll(".filter")) {
  const said = filter.querySelector("[role=status]");
  const entries = document.querySelectorAll("dl.py, dl.std");
  filter.hidden = false;
  filter.addEventListener("input", (event) => {
    const typed = event.target.value.trim().toLowerCase();
    const fits = (entry) =>
      entry.querySelector("dt").textContent.toLowerCase().includes(typed);
    for (const entry of entries) entry.hidden = !fits(entry);
    for (const section of document.querySelectorAll("article section section"))
      section.hidden =
        typed !== "" &&
        !section.querySelector(":is(dl.py, dl.std):not([hidden])");
    const count = [...entries].filter(fits).length;
    said.textContent = typed ? `${count} of ${entries.length}` : "";
  });
}
