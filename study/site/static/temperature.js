// The slider of a temperature: softmax(scores / temperature), in the page.

function softmax(scores) {
  const largest = Math.max(...scores);
  const exponentials = scores.map((score) => Math.exp(score - largest));
  const total = exponentials.reduce((sum, each) => sum + each, 0);
  return exponentials.map((each) => each / total);
}

function entropy(weights) {
  const terms = weights.map((p) => (p > 0 ? -p * Math.log(p) : 0));
  return terms.reduce((sum, term) => sum + term, 0);
}

function show(box, slider) {
  const temperature = JSON.parse(box.dataset.temperatures)[slider.value];
  const scores = JSON.parse(box.dataset.scores);
  const weights = softmax(scores.map((score) => score / temperature));
  const shown = weights.map((weight) => weight.toFixed(4));
  const label = String(Number(temperature.toPrecision(3)));
  box.querySelector(".reading").textContent = label;
  const spoken = `${label}; weights ${shown.join(", ")}`;
  slider.setAttribute("aria-valuetext", spoken);
  box.querySelectorAll("tbody tr").forEach((row, index) => {
    const [cell, bar] = row.querySelectorAll("td");
    cell.textContent = shown[index];
    cell.title = String(weights[index]);
    bar.firstChild.style.setProperty("--share", weights[index]);
  });
  const spread = box.querySelector(".entropy span");
  spread.textContent = entropy(weights).toFixed(4);
  const share = slider.value / slider.max;
  document.getElementById("now").style.setProperty("--at", share);
}

document.addEventListener("input", (event) => {
  const box = event.target.closest(".temperature");
  if (box) show(box, event.target);
});
