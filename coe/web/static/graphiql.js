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

// The explorer shows the variables of its first tab only if it gets them at its first start.
function firstVariables() {
  const started = storage.getItem("graphiql:tabState") !== null;
  return started || !page.examples.length ? undefined : page.examples[0].variables;
}

const place = document.getElementById("graphiql");
const fetched = "GraphiQL" in window;
const root = fetched ? ReactDOM.createRoot(place) : null;
if (!fetched) place.textContent = "The explorer's files were not fetched: run `make setup`.";

function show() {
  if (!fetched) return;
  root.render(
    React.createElement(GraphiQL, {
      key: bearer, // another person may read another answer: start anew
      fetcher: (body) => ask(body),
      storage,
      defaultTabs: page.examples.map((example) => ({
        query: example.query,
        variables: example.variables,
      })),
      variables: firstVariables(),
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
  show();
  useSession();
}

// A person who signed in asks as themselves, as long as no token is in use.
async function useSession() {
  const response = await fetch("/auth/session", { credentials: "same-origin" });
  session = await response.json();
  if (!session.signedIn) return;
  document.getElementById("account").textContent = session.displayName;
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
