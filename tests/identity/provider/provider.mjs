// A certified OpenID provider for tests: it signs in whoever the cookie `account` names, at once.
//
// Settings come as JSON in PROVIDER: issuer, port, clients, accounts, jwks. Under /control tests
// change accounts and keys, and read the logout tokens that were sent.
import http from 'node:http';
import { Provider } from 'oidc-provider';

const settings = JSON.parse(process.env.PROVIDER);
const accounts = new Map(Object.entries(settings.accounts));
let forward = null;
let logouts = [];
let requests = {};

const answer = (response, status, body) => {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
};

async function fetch(url, options) {
  const body = String(options.body);
  logouts.push({ url: String(url), body });
  if (!forward) return new Response(null, { status: 200 });
  return globalThis.fetch(forward + new URL(url).pathname, options);
}

function make(jwks) {
  return new Provider(settings.issuer, {
    jwks,
    fetch,
    clients: settings.clients,
    cookies: { keys: ['a test'] },
    acrValues: ['strong', 'weak'],
    claims: {
      openid: ['sub', 'acr', 'amr'],
      profile: ['name', 'preferred_username'],
      email: ['email', 'email_verified'],
      groups: ['groups'],
    },
    scopes: ['openid', 'profile', 'email', 'groups'],
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
    },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, id) =>
      accounts.has(id) && {
        accountId: id,
        claims: () => ({ sub: id, ...accounts.get(id) }),
      },
  });
}

let provider = make(settings.jwks);

async function interact(request, response) {
  const details = await provider.interactionDetails(request, response);
  const account = /(?:^|; )account=([^;]+)/.exec(request.headers.cookie ?? '')?.[1];
  if (!account || !accounts.has(account)) {
    const refused = { error: 'access_denied', error_description: 'the account is disabled' };
    return provider.interactionFinished(request, response, refused);
  }
  const result = {};
  if (details.prompt.name === 'login') {
    const acr = /(?:^|; )acr=([^;]+)/.exec(request.headers.cookie ?? '')?.[1];
    result.login = { accountId: account, acr, amr: ['pwd'] };
  } else {
    const grant = new provider.Grant({ accountId: account, clientId: details.params.client_id });
    grant.addOIDCScope(details.params.scope);
    result.consent = { grantId: await grant.save() };
  }
  return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}

async function control(request, response) {
  let text = '';
  for await (const chunk of request) text += chunk;
  const body = text ? JSON.parse(text) : {};
  if (body.jwks) provider = make(body.jwks);
  if (body.accounts) for (const [id, claims] of Object.entries(body.accounts)) accounts.set(id, claims);
  if (body.disable) accounts.delete(body.disable);
  if ('forward' in body) forward = body.forward;
  answer(response, 200, { logouts, requests });
  if (body.forget) {
    logouts = [];
    requests = {};
  }
}

const server = http.createServer(async (request, response) => {
  const path = request.url.split('?')[0];
  requests[path] = (requests[path] ?? 0) + 1;
  try {
    if (path === '/control') await control(request, response);
    else if (path.startsWith('/interaction/')) await interact(request, response);
    else provider.callback()(request, response);
  } catch (error) {
    answer(response, 500, { error: String(error) });
  }
});
server.listen(settings.port, '127.0.0.1', () => console.log('listening'));
