"""How the page of a proof looks, in light and in dark."""

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ground: #fbfaf8; --ink: #23211d; --soft: #6b675f; --rule: #e4e0d8; --bar: #e3eceb;
  --kept: #14605a; --broken: #a3312a; --unproven: #7a6324; --kept-ground: #dcebe8; --broken-ground: #f6e0dc;
  --unproven-ground: #f3ead2; --c0: #14605a; --c1: #b5611f; --c2: #7c5295; --c3: #5b6b9a; --c4: #a3312a;
  --c5: #6d6a63; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #191b1c; --ink: #e6e3dd; --soft: #9a968d; --rule: #32363a; --bar: #233233; --kept: #7cc7bd;
    --broken: #ee9a90; --unproven: #dcc06f; --kept-ground: #1f3a37; --broken-ground: #43211e;
    --unproven-ground: #3a321a;
    --c0: #7cc7bd; --c1: #e8a066; --c2: #c3a1d9; --c3: #9fb0e0; --c4: #ee9a90; --c5: #a8a49b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 54rem; padding: 2rem 1.25rem 4rem; background: var(--ground); color: var(--ink);
  font: 15px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 2.5rem 0 .75rem; }
h3 { font-size: 1rem; margin: 0; display: flex; gap: .6rem; align-items: baseline; }
p { margin: .3rem 0; overflow-wrap: anywhere; } .soft, figcaption { color: var(--soft); }
.mend::before { content: "→ "; }
code { font: .87em ui-monospace, monospace; overflow-wrap: anywhere; }
pre { font: .8em/1.45 ui-monospace, monospace; overflow: auto; max-height: 24rem; padding: .75rem;
  border: 1px solid var(--rule); border-radius: 4px; }
.counts { display: flex; flex-wrap: wrap; gap: .75rem; list-style: none; padding: 0; margin: 1.25rem 0; }
.counts li { padding: .5rem 1rem; border-radius: 4px; } .counts b { font-size: 1.5rem; margin-right: .35rem; }
.kept { color: var(--kept); background: var(--kept-ground); } .broken { color: var(--broken);
  background: var(--broken-ground); } .not-proven { color: var(--unproven); background: var(--unproven-ground); }
.glance { margin: 1.25rem 0; } .glance td { vertical-align: top; } .glance td:last-child { width: 100%; }
 .glance a { color: inherit; } .glance td:first-child { white-space: nowrap; }
.promise { padding: 1rem 0; border-top: 1px solid var(--rule); }
.verdict { font-size: .8rem; font-weight: 600; padding: .1rem .55rem; border-radius: 3px; white-space: nowrap;
  min-width: 5.6rem; text-align: center; display: inline-block; }
.verdict.small { font-weight: 400; padding: 0 .4rem; } .flaky { color: var(--unproven); font-size: .85rem; }
details { margin: .5rem 0 0 .25rem; padding-left: .9rem; border-left: 2px solid var(--rule); }
summary { cursor: pointer; } summary .soft { font-size: .87rem; display: block; padding-left: 1.1rem; }
summary:focus-visible { outline: 2px solid var(--kept); outline-offset: 2px; }
figure { margin: 1rem 0; } .chart { display: block; width: 100%; height: auto; margin-top: .4rem; }
.chart text { font: 12px system-ui, sans-serif; fill: var(--ink); paint-order: stroke; stroke: var(--ground);
  stroke-width: 4px; } .chart text.soft { fill: var(--soft); }
.chart .grid { stroke: var(--rule); } .chart .axis { stroke: var(--soft); }
.chart .mark { stroke: var(--soft); stroke-dasharray: 2 3; }
.chart .line { fill: none; stroke-width: 2; stroke-linejoin: round; } .chart .bound { stroke: var(--soft);
  stroke-dasharray: 5 4; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; font-size: .87rem; color: var(--soft); }
.legend i { display: inline-block; width: 1.4rem; height: 0; border-top: 2px solid; vertical-align: middle;
  margin-right: .4rem; } .legend i.bound { border-top-style: dashed; border-color: var(--soft); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: .85rem; }
th, td { padding: .3rem .75rem .3rem .4rem; border-bottom: 1px solid var(--rule); }
.number { text-align: right; white-space: nowrap; }
.share { background: linear-gradient(to right, var(--bar) var(--of), transparent var(--of)); }
@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }
""" + "".join(
    f".chart .c{number} {{ stroke: var(--c{number}); }} .chart circle.c{number} {{ fill: var(--c{number}); }}"
    f" .legend i.c{number} {{ border-color: var(--c{number}); }}\n"
    for number in range(6)
)
