"use strict";
// The explorer of /graphql: who asks, the examples as tabs, and whether the engine is up.

const page = JSON.parse(document.getElementById("page-data").textContent);
const persona = document.getElementById("persona");
const token = document.getElementById("token");
const engine = document.getElementById("engine");
const CHOSEN = "coe.persona";
const ENGINE_QUERY = "{ engine { name state detail queued } }";

let bearer = "";
let session = { signedIn: false };

async function ask(body, signal) {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  const bySession = !bearer && session.signedIn;
  if (bearer) headers.Authorization = "Bearer " + bearer;
  if (bySession) headers["X-CSRF-Token"] = session.csrfToken;
  const response = await fetch("/graphql", {
    method: "POST",
    headers,
    body: JSON.stringify(body),
    credentials: bySession ? "same-origin" : "omit",
    signal,
  });
  return response.json();
}

// Tabs live as long as the browser's tab; the token is kept nowhere.
const storage = {
  getItem: (key) => sessionStorage.getItem(key),
  setItem: (key, value) => sessionStorage.setItem(key, value),
  removeItem: (key) => sessionStorage.removeItem(key),
  clear: () => sessionStorage.clear(),
  get length() {
    return sessionStorage.length;
  },
};

// The explorer adds a tab for what it starts with, unless a tab has the very same: start with the
// tab that was open before a reload, and at the first start with the variables of the first one.
function startWith() {
  const kept = storage.getItem("graphiql:tabState");
  if (kept === null) {
    return page.examples.length ? { variables: page.examples[0].variables } : {};
  }
  try {
    const { tabs, activeTabIndex } = JSON.parse(kept);
    const open = tabs[activeTabIndex];
    return { query: open.query ?? "", variables: open.variables ?? "" };
  } catch {
    storage.clear();
    return startWith();
  }
}

const place = document.getElementById("graphiql");
const fetched = "GraphiQL" in window;
const root = fetched ? ReactDOM.createRoot(place) : null;
if (!fetched) place.textContent = "The explorer's files were not fetched: run `make setup`.";

let shown = { key: undefined, start: {} };

function show() {
  if (!fetched) return;
  // another person may read another answer: start anew
  const key = bearer || (session.signedIn ? "session" : "nobody");
  if (shown.key !== key) shown = { key, start: startWith() };
  root.render(
    React.createElement(GraphiQL, {
      key,
      fetcher: (body) => ask(body),
      storage,
      defaultTabs: page.examples.map((example) => ({
        query: example.query,
        variables: example.variables,
      })),
      ...shown.start,
      defaultEditorToolsVisibility: "variables",
      isHeadersEditorEnabled: false,
      shouldPersistHeaders: false,
      defaultTheme: "light",
    }),
  );
}

async function showEngine() {
  if (!bearer && !session.signedIn) {
    engine.textContent = "";
    return;
  }
  try {
    const answer = await ask({ query: ENGINE_QUERY });
    const status = answer.data && answer.data.engine;
    engine.dataset.state = status ? status.state : "";
    engine.textContent = status
      ? `Engine ${status.name}: ${status.state.toLowerCase()}` +
        (status.state === "UP" ? "" : ` – ${status.detail}; ${status.queued} waiting`)
      : answer.errors[0].message;
  } catch {
    engine.dataset.state = "GONE";
    engine.textContent = "The API does not answer";
  }
}

function reveal(...names) {
  for (const name of names) document.getElementById(name).hidden = false;
}

function choosePersona() {
  bearer = persona.value;
  sessionStorage.setItem(CHOSEN, bearer);
  show();
  showEngine();
}

if (page.personas.length) {
  reveal("persona-label", "persona");
  for (const one of page.personas) {
    persona.append(new Option(one.name, one.token));
  }
  const before = sessionStorage.getItem(CHOSEN);
  if (page.personas.some((one) => one.token === before)) persona.value = before;
  persona.addEventListener("change", choosePersona);
  choosePersona();
} else {
  reveal("token-label", "token", "use-token", "account");
  useSession();
}

// A person who signed in asks as themselves, as long as no token is in use. The explorer asks for
// the schema when it starts, so it starts when it is known who asks.
async function useSession() {
  try {
    const response = await fetch("/auth/session", { credentials: "same-origin" });
    session = await response.json();
  } catch {
    session = { signedIn: false };
  }
  if (session.signedIn) {
    document.getElementById("account").textContent = session.displayName;
  }
  show();
  showEngine();
}

document.getElementById("identity").addEventListener("submit", (event) => {
  event.preventDefault();
  if (page.personas.length) return;
  bearer = token.value.trim();
  token.value = "";
  token.placeholder = bearer ? "in use; enter another to change" : "coe_…";
  show();
  showEngine();
});

setInterval(showEngine, 10000);
