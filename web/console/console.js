// The console page: one VM's screen by noVNC, through this server's web-socket.
//
// Which VM, and the token that opens it once, stand in the fragment of the address. It is taken out of the
// address at once: neither the history nor somebody who looks over a shoulder has any use for it.

const TEXTS = {
  zh: {
    console: "控制台",
    paste: "输入文本",
    full: "全屏",
    ok: "确定",
    cancel: "取消",
    type: "以按键方式输入到云主机:",
    password: "远程连接密码:",
    connecting: "正在连接……",
    connected: "已连接",
    again: "请重新获取控制台地址(cloudvm/connection),再打开新的地址。",
    no_token: "此地址不含令牌:控制台地址只能打开一次。",
    refused: "令牌已使用、已过期或已失效(例如服务已重启)。",
    network: "无法连接服务器,请检查网络。",
    lost: "与服务器的连接中断。",
    code: "页面未能完整加载,请检查网络。",
    SCREEN_CLOSED: "云主机已关机或已重新启动。",
    CONSOLES_FULL: "打开的控制台过多,请先关闭其他控制台。",
    OVERLOADED: "服务器繁忙,请稍后再试。",
    SHUTTING_DOWN: "服务器正在停止。",
    SILENT: "长时间没有收到浏览器的应答。",
    TOKEN_INVALID: "打开此控制台的租户令牌已被吊销。",
    TOKEN_EXPIRED: "打开此控制台的租户令牌已过期。",
    VM_STATE: "云主机未运行。",
    VM_NOT_FOUND: "云主机不存在。",
    HOST_DOWN: "云主机所在的主机未连接。",
    HOST_TIMEOUT: "云主机所在的主机没有应答。",
    UNSUPPORTED: "云主机所在的主机不提供控制台。",
    no_screen: "无法打开云主机的屏幕:",
    security: "云主机拒绝了连接:",
  },
  en: {
    console: "console",
    paste: "Type text",
    full: "Full screen",
    ok: "OK",
    cancel: "Cancel",
    type: "Typed into the VM, key by key:",
    password: "VNC password:",
    connecting: "Connecting…",
    connected: "Connected",
    again: "Ask for a new address (cloudvm/connection) and open that.",
    no_token: "There is no token in this address: the address of a console opens once.",
    refused: "The token was used, has expired, or is no longer known (the server was restarted).",
    network: "The server cannot be reached: check the network.",
    lost: "The connection to the server broke.",
    code: "The page did not load whole: check the network.",
    SCREEN_CLOSED: "The VM was shut down or started anew.",
    CONSOLES_FULL: "Too many consoles are open: close another one first.",
    OVERLOADED: "The server is busy: try again later.",
    SHUTTING_DOWN: "The server is stopping.",
    SILENT: "The browser has not answered for a while.",
    TOKEN_INVALID: "The token that this console was opened with was revoked.",
    TOKEN_EXPIRED: "The token that this console was opened with has expired.",
    VM_STATE: "The VM is not running.",
    VM_NOT_FOUND: "There is no such VM.",
    HOST_DOWN: "The VM's host is not connected.",
    HOST_TIMEOUT: "The VM's host did not answer.",
    UNSUPPORTED: "The VM's host offers no console.",
    no_screen: "The VM's screen cannot be opened: ",
    security: "The VM refused the connection: ",
  },
};
const language = (navigator.languages || [navigator.language]).find((l) => /^(zh|en)/.test(l)) || "zh";
const text = TEXTS[language.slice(0, 2)];
const TYPING_MS = 15; // between keys: guests' keyboards have small buffers

const at = (id) => document.getElementById(id);

function show(state, message) {
  at("state").dataset.state = state;
  at("state").textContent = message;
  for (const id of ["keys", "paste"]) at(id).disabled = state !== "connected";
}

function showClosed(why) {
  show("closed", `${why} ${text.again}`);
}

function label() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = text[element.dataset.text];
}

// --- what the address says -------------------------------------------------------------------------------

function takeAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  return { vm: given.get("vm") || "", token: given.get("token") || "", name: given.get("name") || "" };
}

function isWhole(address) {
  return /^[0-9a-f-]{36}$/.test(address.vm) && /^[0-9a-f]{64}$/.test(address.token);
}

function socketFor(address) {
  const url = new URL(`vm/${address.vm}`, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return new WebSocket(url, ["binary", `token.${address.token}`]);
}

// --- why it ended ------------------------------------------------------------------------------------------

// Browsers tell pages nothing of a refused handshake: whether the server is there tells the two reasons apart.
async function whyRefused() {
  try {
    const answer = await fetch("../healthz", { cache: "no-store" });
    return answer.ok ? text.refused : text.network;
  } catch {
    return text.network;
  }
}

function whyClosed(event) {
  if (event.reason && Object.hasOwn(text, event.reason)) return text[event.reason];
  return event.code === 4002 ? text.no_screen + event.reason : text.lost;
}

// --- the keyboard --------------------------------------------------------------------------------------------

function keysymOf(character) {
  if (character === "\n") return 0xff0d;
  if (character === "\t") return 0xff09;
  const code = character.codePointAt(0);
  return code < 0x100 ? code : 0x01000000 + code;
}

// Machines get keys, not characters: those that need Shift on a US keyboard, which is what a VM has, get it.
const SHIFT = 0xffe1;
const SHIFTED = /[A-Z~!@#$%^&*()_+{}|:"<>?]/;

async function typeText(rfb, words) {
  for (const character of words.replaceAll("\r", "")) {
    const shifted = SHIFTED.test(character);
    if (shifted) rfb.sendKey(SHIFT, "ShiftLeft", true);
    rfb.sendKey(keysymOf(character), null);
    if (shifted) rfb.sendKey(SHIFT, "ShiftLeft", false);
    await new Promise((done) => setTimeout(done, TYPING_MS));
  }
}

// One dialog for both questions; resolves to null when it is cancelled.
function ask(question, secret) {
  const field = at(secret ? "ask-secret" : "ask-text");
  at("ask-label").textContent = question;
  at("ask-text").hidden = secret;
  at("ask-secret").hidden = !secret;
  field.value = "";
  at("ask").returnValue = "";
  at("ask").showModal();
  field.focus();
  return new Promise((done) => {
    at("ask").addEventListener("close", () => done(at("ask").returnValue === "ok" ? field.value : null), { once: true });
  });
}

// --- the whole ---------------------------------------------------------------------------------------------

function wire(rfb) {
  at("keys").addEventListener("click", () => {
    rfb.sendCtrlAltDel();
    rfb.focus();
  });
  at("paste").addEventListener("click", async () => {
    const words = await ask(text.type, false);
    rfb.focus();
    if (words) await typeText(rfb, words);
  });
  rfb.addEventListener("connect", () => {
    show("connected", text.connected);
    rfb.focus();
  });
  rfb.addEventListener("credentialsrequired", async () => {
    const password = await ask(text.password, true);
    if (password === null) rfb.disconnect();
    else rfb.sendCredentials({ password });
  });
}

function connect(RFB, address) {
  const socket = socketFor(address);
  let opened = false;
  let denied = "";
  socket.addEventListener("open", () => (opened = true));
  socket.addEventListener("close", async (event) => {
    if (denied) showClosed(text.security + denied);
    else showClosed(opened ? whyClosed(event) : await whyRefused());
  });
  const rfb = new RFB(at("screen"), socket, { shared: true });
  rfb.scaleViewport = true;
  rfb.background = "#1d1f21";
  rfb.addEventListener("securityfailure", (event) => (denied = event.detail.reason || String(event.detail.status)));
  wire(rfb);
}

async function main() {
  const address = takeAddress();
  label();
  at("name").textContent = address.name;
  document.title = `${address.name} – ${text.console}`;
  at("full").addEventListener("click", () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else document.documentElement.requestFullscreen();
  });
  if (!isWhole(address)) {
    showClosed(text.no_token);
    return;
  }
  show("connecting", text.connecting);
  try {
    const { default: RFB } = await import("./novnc/core/rfb.js");
    connect(RFB, address);
  } catch (error) {
    console.error(error);
    showClosed(text.code);
  }
}

main();
