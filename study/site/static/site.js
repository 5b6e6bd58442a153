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
