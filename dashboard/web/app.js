// The dashboard's page. Everything that comes from the network is shown through
// text nodes: the page's policy makes every other way throw.
'use strict'

const POLL = 2000 // ms
const POLL_HIDDEN = 30000 // ms: a tab that no one looks at
const PATIENCE = 10000 // ms for one answer
const MINUTES = 30 // of the chart

const byId = id => document.getElementById(id)

// Terminal sequences go; other control characters and those that reorder text
// become U+FFFD, so that a name cannot dress up as another.
const ANSI = /\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]|\u001b[@-_]/g
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g
const clean = text => String(text ?? '').replace(ANSI, '').replace(CONTROL, '\ufffd')

const two = n => String(n).padStart(2, '0')
const clock = date => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
const whole = n => new Intl.NumberFormat('en').format(n)
const count = (n, one, many) => `${whole(n)} ${n === 1 ? one : many}`

const STATES = [
  ['succeeded', '\u2713', 'succeeded'], ['failed', '\u2715', 'failed'], ['timed_out', '\u25f7', 'timed out'],
  ['killed', '\u25a0', 'killed'], ['cancelled', '\u25ad', 'cancelled'], ['lost', '\u25b3', 'lost'],
  ['unsupported', '\u2298', 'unsupported'],
]

// shortDuration cuts a Go duration such as 1m2.345678s to one decimal.
function shortDuration(text) {
  return clean(text || '').replace(/(\.\d)\d+/, '$1') || '0s';
}

function node(tag, className, ...children) {
  const el = document.createElement(tag)
  if (className) el.className = className
  el.append(...children)
  return el
}

// text isolates foreign text, so that its direction stays its own.
function text(value) {
  const el = node('bdi', '', clean(value) || '\u2013')
  el.title = el.textContent
  return el
}

// once(draw) redraws only what changed: selections and screen readers live.
function once(draw) {
  let last
  return value => {
    const now = JSON.stringify(value)
    if (now !== last) draw(value)
    last = now
  }
}

const total = states => Object.values(states ?? {}).reduce((a, b) => a + b, 0)

const drawTiles = once(tiles => {
  byId('tiles').replaceChildren(...tiles.map(([label, value]) =>
    node('div', 'tile', node('dt', '', label), node('dd', '', value))))
})

const drawPeers = once(({ peers, known }) => {
  byId('peers').hidden = peers.length === 0
  byId('peers-empty').hidden = peers.length > 0
  byId('peers-empty').textContent = known
    ? 'No peers are online. Start one with peerd; it appears here within seconds.'
    : 'No data yet: the registry has not answered so far.'
  byId('peers').tBodies[0].replaceChildren(...peers.map(p => {
    const name = node('th', '', text(p.name))
    name.scope = 'row'
    const runtimes = (p.runtimes ?? []).map(r => `${r.name} ${r.version}`.trim()).join(', ')
    const seen = new Date(p.seen_at ?? NaN)
    return node('tr', '', name, node('td', 'mono', text(p.address)), node('td', '', text(p.account)),
      node('td', 'num', whole(p.slots)), node('td', 'num', whole(p.running)), node('td', 'num', whole(p.queued)),
      node('td', '', text(runtimes)), node('td', '', isNaN(seen) ? '\u2013' : clock(seen)))
  }))
})

const drawEnded = once(states => {
  const all = total(states)
  byId('ended').hidden = all === 0
  byId('ended-empty').hidden = all > 0
  const rows = STATES.filter(([state]) => states[state])
  // A newer registry may know more states.
  for (const state of Object.keys(states)) if (!STATES.some(([s]) => s === state)) rows.push([state, '\u00b7', clean(state)])
  byId('ended').tBodies[0].replaceChildren(...rows.map(([state, shape, word]) => {
    const mark = node('span', 'mark', shape)
    mark.setAttribute('aria-hidden', 'true')
    const name = node('th', STATES.some(([s]) => s === state) ? 's-' + state : '', mark, word)
    name.scope = 'row'
    return node('tr', '', name, node('td', 'num', whole(states[state])),
      node('td', 'num', `${(100 * states[state] / all).toFixed(1)} %`))
  }))
})

function bar(className, x, y, width, height) {
  const el = document.createElementNS('http://www.w3.org/2000/svg', 'rect')
  el.setAttribute('class', className)
  for (const [k, v] of Object.entries({ x, y, width, height })) el.setAttribute(k, v)
  return el
}

const drawChart = once(({ buckets, minute }) => {
  const at = new Map(buckets.map(b => [Math.floor(Date.parse(b.start) / 60000), b.states ?? {}]))
  const bars = Array.from({ length: MINUTES }, (_, i) => {
    const states = at.get(minute - MINUTES + 1 + i) ?? {}
    return { minute: minute - MINUTES + 1 + i, good: states.succeeded ?? 0, all: total(states) }
  })
  const most = bars.reduce((a, b) => (b.all > a.all ? b : a))
  const sum = bars.reduce((n, b) => n + b.all, 0)
  const step = 600 / MINUTES
  const axis = document.createElementNS('http://www.w3.org/2000/svg', 'line')
  axis.setAttribute('class', 'axis')
  for (const [k, v] of Object.entries({ x1: 0, x2: 600, y1: 119.5, y2: 119.5 })) axis.setAttribute(k, v)
  byId('chart').replaceChildren(axis, ...bars.flatMap((b, i) => {
    const height = n => (most.all ? 114 * n / most.all : 0)
    const good = height(b.good)
    const other = height(b.all - b.good)
    return [bar('bar-succeeded', i * step + 2, 119 - good, step - 4, good),
      bar('bar-other', i * step + 2, 119 - good - other, step - 4, other)]
  }))
  const peak = clock(new Date(most.minute * 60000)).slice(0, 5)
  byId('chart-text').textContent = sum === 0
    ? `No job has ended in the last ${MINUTES} minutes.`
    : `Last ${MINUTES} minutes, oldest on the left: ${count(sum, 'job', 'jobs')} ended, at most ${whole(most.all)} in a minute (${peak}). ` +
      'The lower part of a bar succeeded, the upper part ended otherwise.'
})

const drawBanner = once(line => {
  byId('banner').replaceChildren(...(line ? [node('p', 'banner', line)] : []))
})

const drawNews = once(line => { byId('news').textContent = line })

let data // the last answer
let away // since when the dashboard itself does not answer

function banner() {
  const shown = data?.at ? ` Showing data from ${clock(new Date(data.at))}.` : ' No data so far.'
  if (away) return `Dashboard unreachable since ${clock(away)}.${shown}`
  if (data && !data.registry.ok) return `Registry unreachable since ${clock(new Date(data.registry.since))}.${shown}`
  return ''
}

function draw() {
  drawBanner(banner())
  if (!data) return
  const { peers, stats, at } = data
  const states = stats.states ?? {}
  const ended = total(states)
  const good = states.succeeded ?? 0
  drawTiles(!at ? [] : [
    ['Active peers', whole(stats.peers)], ['Slots', whole(stats.slots)], ['Running', whole(stats.running)],
    ['Queued', whole(stats.queued)], ['Succeeded', whole(good)], ['Failed', whole(states.failed ?? 0)],
    ['Other ends', whole(ended - good - (states.failed ?? 0))],
    ['Success rate', ended ? `${(100 * good / ended).toFixed(1)} %` : '\u2013'], ['CPU used', shortDuration(stats.cpu)],
  ])
  drawPeers({ peers: peers ?? [], known: Boolean(at) })
  drawEnded(states)
  if (at) {
    drawChart({ buckets: stats.buckets ?? [], minute: Math.floor(Date.parse(at) / 60000) })
    drawNews(`${count(stats.peers, 'peer is', 'peers are')} online.`)
    byId('updated').textContent = `Data from ${clock(new Date(at))}, read every ${POLL / 1000} seconds.`
  }
}

async function poll() {
  try {
    const answer = await fetch('/api/overview', { signal: AbortSignal.timeout(PATIENCE) })
    if (!answer.ok) throw new Error(`status ${answer.status}`)
    data = await answer.json()
    away = undefined
  } catch {
    away ??= new Date()
  }
  draw()
}

let timer
let polling = false

async function loop() {
  clearTimeout(timer)
  if (polling) return
  polling = true
  try {
    await poll()
  } finally {
    polling = false
    timer = setTimeout(loop, document.hidden ? POLL_HIDDEN : POLL)
  }
}

function theme() {
  const select = byId('theme')
  const apply = value => {
    if (value) document.documentElement.dataset.theme = value
    else delete document.documentElement.dataset.theme
  }
  try {
    select.value = localStorage.getItem('burrow-theme') ?? ''
  } catch { /* storage is off: the choice lasts until the page closes */ }
  apply(select.value)
  select.addEventListener('change', () => {
    apply(select.value)
    try {
      localStorage.setItem('burrow-theme', select.value)
    } catch { /* as above */ }
  })
}

theme()
document.addEventListener('visibilitychange', () => { if (!document.hidden) loop() })
loop()
