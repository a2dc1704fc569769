"use strict";
// The page asks the hub's JSON API every two seconds and shows what it says.
// Everything is put in as text, never as markup.
const $ = (id) => document.getElementById(id);
const tone = { Connected: "good", Ready: "good", PASS: "good", Suspect: "warn", Cordoned: "warn", Draining: "warn", INVALID: "warn", ABORTED: "warn", Lost: "bad", FAIL: "bad" };

function node(tag, text, cls) {
  const n = document.createElement(tag);
  if (text !== undefined) n.textContent = text;
  if (cls) n.className = cls;
  return n;
}

function table(into, heads, rows) {
  const t = node("table");
  const head = t.createTHead().insertRow();
  heads.forEach((h) => head.append(node("th", h)));
  const body = t.createTBody();
  rows.forEach((cells) => {
    const row = body.insertRow();
    // On a narrow page a row is a list, and each cell shows its heading itself.
    cells.forEach((c, i) => {
      const cell = node("td", c, tone[c]);
      cell.dataset.label = heads[i];
      row.append(cell);
    });
  });
  into.replaceChildren(rows.length ? t : node("p", "none", "dim"));
}

const ago = (t) => (t ? `${Math.max(0, Math.round((Date.now() - new Date(t)) / 1000))} s ago` : "never");
const until = (t) => (t ? `${Math.round((new Date(t) - Date.now()) / 86400000)} days` : "");

async function get(path) {
  const r = await fetch(path, { cache: "no-store" });
  if (!r.ok) throw new Error(`${path}: ${r.status}`);
  return r.json();
}

function showLatency(paths) {
  const names = [...new Set(paths.flatMap((p) => [p.from, p.to]))].sort();
  table($("latency"), ["from", ...names.map((n) => `to ${n}`)], names.map((from) => [from, ...names.map((to) => {
    const found = paths.filter((p) => p.from === from && p.to === to);
    if (!found.length) return from === to ? "·" : "unknown";
    return found.map((p) => `${p.measure}: ${p.lost ? "no answer" : `${p.rttMilliseconds.toFixed(1)} ms, ${Math.round(p.ageSeconds)} s old`}`).join("\n");
  })]));
}

// showProblems lists what is to be mended, and after it what is only worth knowing.
function showProblems(problems) {
  const list = node("ul");
  const notice = (p) => p.severity === "Info";
  [...problems.filter((p) => !notice(p)), ...problems.filter(notice)].forEach((p) => {
    const item = node("li");
    item.append(node("b", notice(p) ? "notice" : "problem", notice(p) ? "dim" : "bad"), " ",
      [p.cluster, p.file, p.object, p.field, p.message, p.remedy].filter(Boolean).join(" · "));
    list.append(item);
  });
  $("problems").replaceChildren(problems.length ? list : node("p", "none", "dim"));
}

// serving says in one line whom a cluster's requests go to, read from the numbered
// lines of an explanation: "1. cluster/backend: reason".
function serving(e) {
  const order = [...new Set([...e.text.matchAll(/^\d+\. ([^/\n]+)\//gm)].map((m) => m[1]))];
  if (e.text.startsWith("closed: ") || !order.length) return `${e.cluster} → nobody`;
  return `${e.cluster} → ${order[0]}${order.length > 1 ? ` (then ${order.slice(1).join(", ")})` : ""}`;
}

async function showServes(status) {
  const names = [...new Set(status.backends.map((b) => `${b.namespace}/${b.name}`))].sort();
  const blocks = [];
  for (const name of names) {
    blocks.push(node("h3", name));
    try {
      const list = await get(`/api/v1/explain?backend=${encodeURIComponent(name)}`);
      list.forEach((e) => {
        const fold = node("details");
        fold.dataset.key = `${e.cluster} ${name}`;
        const line = serving(e);
        fold.append(node("summary", line, line.endsWith("nobody") ? "bad" : undefined), node("pre", e.text));
        blocks.push(fold);
      });
    } catch (e) {
      blocks.push(node("p", "no proxy can say", "dim"));
    }
  }
  // What somebody has unfolded stays so.
  const open = new Set([...$("serves").querySelectorAll("details[open]")].map((d) => d.dataset.key));
  blocks.forEach((b) => { if (open.has(b.dataset.key)) b.open = true; });
  $("serves").replaceChildren(...(blocks.length ? blocks : [node("p", "no backends are declared", "dim")]));
}

async function refresh() {
  try {
    const [status, paths, drills] = await Promise.all([get("/api/v1/status"), get("/api/v1/latency"), get("/api/v1/drills")]);
    table($("clusters"), ["cluster", "region", "lease", "state", "proxies", "heard", "certificate"], status.clusters.map((c) => [
      c.name, c.zone ? `${c.region}, zone ${c.zone}` : c.region, c.lease, c.state, `${(c.proxies || []).filter((p) => p.ready).length} of ${(c.proxies || []).length} ready`, ago(c.heard), until(c.certificateExpiry)]));
    showLatency(paths);
    table($("gateways"), ["gateway", "in", "of", "listener", "URLs"], status.gateways.flatMap((g) => g.listeners.map((l) => [
      `${g.namespace}/${g.name}`, g.cluster, g.home, l.name, l.urls.join("\n")])));
    table($("drills"), ["drill", "phase", "verdict", "ok", "failed", "retried", "lost", "refused since"], Object.entries(drills).map(([name, d]) => {
      const r = (d.report && d.report.requests) || {};
      return [name, d.phase, d.verdict || "", r.ok ?? "", r.failed ?? "", r.retried ?? "", r.lost ?? "",
        d.refusal ? d.refusal.checks.map((c) => c.name).join(", ") : ""];
    }));
    table($("orders"), ["order", "cluster", "by", "why", "until"], (status.orders || []).map((o) => [
      o.kind, o.cluster || "the fleet", o.who, o.why || "", o.expires ? new Date(o.expires).toLocaleString() : ""]));
    showProblems(status.problems);
    await showServes(status);
    $("state").textContent = `as of ${new Date().toLocaleTimeString()}`;
    $("state").className = "";
  } catch (e) {
    $("state").textContent = `the hub does not answer: ${e.message}; what is shown is old`;
    $("state").className = "bad";
  }
  setTimeout(refresh, 2000);
}
refresh();
