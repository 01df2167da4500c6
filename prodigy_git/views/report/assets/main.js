// Putting it together: filters, theme, paper, sizes. Then the page is ready.

const THEMES = ['system', 'light', 'dark'];

function connectFilters() {
  const options = (names) => names.map((name) => el('option', { value: name }));
  $('agents').append(...options([...knownAgents].sort(order.compare).slice(0, 2000)));
  $('items').append(...options([...knownItems].sort(order.compare).slice(0, 2000)));
  $('f-type').append(...Object.entries(counts.types).map(([name, number]) =>
    el('option', { value: name }, `${name} (${count.format(number)})`)));
  $('f-outcome').append(...Object.keys(OUTCOMES).filter((name) => counts.outcomes[name])
    .map((name) => el('option', { value: name }, `${name} (${count.format(counts.outcomes[name])})`)));
  for (const name of Object.keys(filter)) {
    $(`f-${name}`).addEventListener('input', () => setFilter({ [name]: $(`f-${name}`).value.trim() }));
  }
  $('f-reset').addEventListener('click', () => {
    setFilter({ text: '', agent: '', item: '', type: '', outcome: '' });
    $('f-text').focus();
  });
  onFilter((found) => {
    const agents = new Set([...found.attempts].map((index) => attempts[index].who));
    $('f-count').textContent = `${count.format(found.events.length)} of ${plural(events.length, 'event')}, ${plural(agents.size, 'agent')}`;
  });
}

function redraw() {
  colours.clear();
  for (const one of charts) {
    one.chart.resize();
    one.draw();
  }
}

function connectTheme() {
  let theme = 'system';
  $('theme').addEventListener('click', () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    document.documentElement.dataset.theme = theme;
    $('theme').textContent = `Theme: ${theme}`;
    redraw();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
}

/** On paper all lanes and more rows are out at once, in light colours. */
function connectPaper() {
  const paper = (on) => {
    if (lanes.paper === on) return;
    lanes.paper = table.paper = on;
    redraw();
    if (lanes.chart && lanes.shown.length) drawLanes();
    drawRows();
  };
  matchMedia('print').addEventListener('change', (event) => paper(event.matches));
  addEventListener('beforeprint', () => paper(true));
  addEventListener('afterprint', () => paper(false));
}

let width = 0;
new ResizeObserver(() => {
  if (innerWidth !== width && width) redraw();
  width = innerWidth;
}).observe(document.body);

for (const show of [showHead, showNumbers, showTrouble, showTime, showLanes, showFailures, showFiles, showMerging, showDurations, showTable]) show();
connectFilters();
connectTheme();
connectPaper();
setFilter({});
// For whoever measures or tests the page from outside.
document.documentElement.dataset.ready = String(Math.round(performance.now()));
