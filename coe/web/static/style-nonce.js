// The explorer adds a style element for its dialogs; the page's policy wants this nonce on it.
window.__webpack_nonce__ = document.getElementById("page-data").dataset.nonce;
