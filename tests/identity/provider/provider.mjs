// A certified OpenID provider for tests: it signs in whoever the cookie `account` names, at once.
//
// Settings come as JSON in PROVIDER: issuer, port, clients, accounts, jwks. Under /control tests
// change accounts and keys, and read the logout tokens that were sent. With `site` the clients are
// registered at an address at which they listen, and the provider calls them itself.
import http from 'node:http';
import { Provider } from 'oidc-provider';

const settings = JSON.parse(process.env.PROVIDER);
const accounts = new Map(Object.entries(settings.accounts));
let site = null;
let sessions = new Map();
let logouts = [];
let requests = {};

const answer = (response, status, body) => {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
};

async function fetch(url, options) {
  const body = String(options.body);
  logouts.push({ url: String(url), body });
  if (!site) return new Response(null, { status: 200 });
  // The dispatcher refuses addresses of this machine, where the client of a test listens.
  return globalThis.fetch(url, { ...options, dispatcher: undefined });
}

const moved = (url) => (site ? site + new URL(url).pathname : url);

// The clients, registered at the address of the site.
const clients = () =>
  settings.clients.map((each) => ({
    ...each,
    redirect_uris: site ? [moved(each.redirect_uris[0])] : each.redirect_uris,
    post_logout_redirect_uris: site ? [moved(each.post_logout_redirect_uris[0])] : each.post_logout_redirect_uris,
    backchannel_logout_uri: moved(each.backchannel_logout_uri),
  }));

function make(jwks) {
  const made = new Provider(settings.issuer, {
    jwks,
    fetch,
    clients: clients(),
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
  sessions = new Map();
  made.on('authorization.success', ({ oidc: { session } }) => {
    sessions.set(session.uid, session.accountId);
  });
  return made;
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

// Disable an account, as its administrator does: end its sessions, tell every client of them by the
// back channel, and let the directory say the same by SCIM.
async function dismiss({ account, scim }) {
  accounts.delete(account);
  for (const [uid, id] of sessions) {
    if (id !== account) continue;
    const session = await provider.Session.findByUid(uid);
    for (const client of Object.keys(session?.authorizations ?? {})) {
      const found = await provider.Client.find(client);
      await found.backchannelLogout(account, session.sidFor(client));
    }
    await session?.destroy();
  }
  if (!scim) return;
  const response = await globalThis.fetch(scim.url, {
    method: 'PATCH',
    headers: { authorization: `Bearer ${scim.token}`, 'content-type': 'application/scim+json' },
    body: JSON.stringify({
      schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'],
      Operations: [{ op: 'replace', path: 'active', value: false }],
    }),
  });
  if (!response.ok) throw new Error(`SCIM: ${response.status} ${await response.text()}`);
}

async function control(request, response) {
  let text = '';
  for await (const chunk of request) text += chunk;
  const body = text ? JSON.parse(text) : {};
  if ('site' in body) site = body.site;
  if (body.jwks) provider = make(body.jwks);
  if (body.accounts) for (const [id, claims] of Object.entries(body.accounts)) accounts.set(id, claims);
  if (body.disable) accounts.delete(body.disable);
  if (body.dismiss) await dismiss(body.dismiss);
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
