// Trying operations of the API from its page: as the signed-in reader, answers shown below.
(() => {
  "use strict";
  const csrf = document.querySelector("[name=csrfmiddlewaretoken]");
  for (const part of document.querySelectorAll(".try, .try-note")) part.hidden = false;

  function address(form) {
    const query = new URLSearchParams();
    let path = form.dataset.path;
    for (const field of form.querySelectorAll("[data-in]")) {
      if (field.dataset.in === "path") path = path.replace(`{${field.name}}`, encodeURIComponent(field.value));
      else if (field.value !== "") query.append(field.name, field.value);
    }
    return query.size ? `${path}?${query}` : path;
  }

  async function attempt(form) {
    const panel = form.parentElement.querySelector(".answer");
    const button = form.querySelector("button");
    const said = panel.querySelector(".meta");
    const shown = panel.querySelector("pre");
    const options = { method: form.dataset.method, headers: {} };
    if (options.method !== "GET") options.headers["X-CSRFToken"] = csrf ? csrf.value : "";
    if (form.elements.body) {
      options.body = form.elements.body.value;
      options.headers["Content-Type"] = "application/json";
    }
    const where = address(form);
    button.disabled = true;
    try {
      const answer = await fetch(where, options);
      const text = await answer.text();
      said.textContent = `${options.method} ${where} → ${answer.status} ${answer.statusText}`;
      shown.textContent = /json/.test(answer.headers.get("Content-Type") || "") ? JSON.stringify(JSON.parse(text), null, 2) : text;
    } catch (error) {
      said.textContent = `${options.method} ${where}`;
      shown.textContent = String(error);
    }
    shown.hidden = shown.textContent === "";
    panel.hidden = false;
    button.disabled = false;
  }

  for (const form of document.querySelectorAll("form[data-try]")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      attempt(form);
    });
  }

  // A link to an operation opens it.
  function open() {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (target && target.matches("details")) target.open = true;
  }
  window.addEventListener("hashchange", open);
  open();
})();
