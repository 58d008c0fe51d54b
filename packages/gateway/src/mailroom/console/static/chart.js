// Draws the table that a chart names as stacked bars. The table is the truth; this is a picture of it.
(() => {
  const colours = ["sent", "other", "failed", "quiet"];
  const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  const date = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
  let drawn = [];

  function read(table) {
    const rows = [...table.tBodies[0].rows];
    const hours = rows.map((row) => new Date(row.querySelector("time").dateTime).getTime() / 1000);
    const columns = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);
    const counts = columns.map((_, place) => rows.map((row) => Number(row.cells[place + 1].dataset.value)));
    return { hours, columns, counts };
  }

  function draw(box) {
    const { hours, columns, counts } = read(document.querySelector(box.dataset.chart));
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    // From the top of each bar to its foot: a series is the sum of its column and of those before it.
    const stacked = counts.map((_, place) => hours.map((_, hour) => counts.slice(0, place + 1).reduce((sum, each) => sum + each[hour], 0)));
    const series = columns.map((label, place) => ({
      label, fill: colour(`--chart-${colours[place]}`), stroke: colour(`--chart-${colours[place]}`), width: 0, points: { show: false },
      paths: uPlot.paths.bars({ size: [0.72, 36], radius: 0.12 }), value: (_, __, ___, index) => (index == null ? "" : counts[place][index].toLocaleString()),
    }));
    const days = box.dataset.unit === "day";
    const edge = days ? 52000 : 2200;
    const label = (at) => (days ? date : hour).format(at * 1000);
    const axis = { stroke: colour("--muted"), font: "12px system-ui, sans-serif", grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const chart = new uPlot({
      width: box.clientWidth, height: 220, padding: [12, 4, 0, 0], legend: { live: true }, cursor: { y: false, drag: { x: false, y: false } },
      scales: { x: { range: (_, low, high) => [low - edge, high + edge] }, y: { range: (_, __, high) => [0, Math.max(4, high * 1.08)] } },
      axes: [{ ...axis, grid: { show: false }, space: 60, values: (_, ticks) => ticks.map(label) }, { ...axis, size: 48, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6] }],
      series: [{ label: days ? "Day" : "Hour", value: (_, at) => (at == null ? "" : label(at)) }, ...series.slice().reverse()],
    }, [hours, ...stacked.slice().reverse()], box);
    drawn.push([box, chart]);
  }

  function drawAll() {
    for (const [, chart] of drawn) chart.destroy();
    drawn = [];
    for (const box of document.querySelectorAll("[data-chart]")) draw(box);
  }

  document.addEventListener("DOMContentLoaded", drawAll);
  document.addEventListener("theme", drawAll);
  document.addEventListener("htmx:afterSwap", (event) => { if (event.detail.target?.id === "chart" || event.detail.elt?.id === "chart") drawAll(); });
  addEventListener("resize", () => { for (const [box, chart] of drawn) chart.setSize({ width: box.clientWidth, height: 220 }); });
})();
