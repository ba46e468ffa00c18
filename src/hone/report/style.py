"""The page's style sheet: light and dark, phone, desk and paper."""

from __future__ import annotations

CSS = """
:root{color-scheme:light dark;--paper:#fbfaf8;--card:#fff;--ink:#1d1c1a;--soft:#5f5b54;--rule:#e2ded6;--wash:#f3f0ea;
--blue:#0072b2;--orange:#c85200;--green:#007a5a;--purple:#a4408f;--on-color:#fff;--warn:#8a4b00;--warn-wash:#fff4e0;
--warn-rule:#e0a03c}
@media (prefers-color-scheme:dark){:root{--paper:#16171a;--card:#1e2024;--ink:#e9e6e0;--soft:#a8a39a;--rule:#34363b;
--wash:#24262b;--blue:#5ab4ec;--orange:#f0913e;--green:#3cc79a;--purple:#df8fce;--on-color:#101113;--warn:#ffc46b;
--warn-wash:#2e2415;--warn-rule:#a8741f}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 Inter,ui-sans-serif,system-ui,-apple-system,
"Segoe UI",Roboto,"Helvetica Neue","Noto Sans","PingFang SC","Hiragino Sans GB","Microsoft YaHei","Noto Sans CJK SC",
sans-serif;font-variant-numeric:tabular-nums}
main,header,footer{max-width:1120px;margin:0 auto;padding:0 clamp(16px,4vw,40px)}
header{padding-top:clamp(28px,5vw,56px)}
h1,h2{line-height:1.2;letter-spacing:-.015em;font-weight:650;text-wrap:balance}
h1{font-size:clamp(1.7rem,1.3rem + 1.6vw,2.3rem);margin:.15em 0 0;overflow-wrap:anywhere}
h2{font-size:1.3rem;margin:0 0 .35rem;scroll-margin-top:1rem}
:lang(en) :is(h2,h3,dt,nav a)::first-letter{text-transform:uppercase}
nav a{display:inline-block}
h3{font-size:.95rem;font-weight:550;margin:0;line-height:1.35}
:lang(zh) h1,:lang(zh) h2{letter-spacing:0}
a{color:var(--blue);text-decoration-thickness:1px;text-underline-offset:3px}
code{font:.88em ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;overflow-wrap:anywhere}
section{margin:clamp(36px,5vw,56px) 0 0}
.brand{color:var(--soft);font-size:.85rem;font-weight:600;letter-spacing:.02em;margin:0}
.conclusion{font-size:1.2rem;margin:.7rem 0 0;max-width:60ch}
.note,.about,.sub{color:var(--soft);margin:0}
.note{max-width:72ch;font-size:.93rem;margin-bottom:1rem}
nav{margin-top:1.1rem;font-size:.9rem;display:flex;flex-wrap:wrap;gap:.3rem 1.1rem}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,max(225px,100%/var(--across,4) - 14px)),1fr));gap:14px;margin:0;padding:0;
list-style:none}
.cards+.scroll{margin-top:18px}
.card{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:16px 18px 15px;display:flex;
flex-direction:column;min-width:0}
.card .key{display:block;line-height:1.3;color:var(--soft);font-weight:400;font-size:.78rem}
.card .value{font-size:2.1rem;line-height:1.15;font-weight:600;letter-spacing:-.02em;margin:.3rem 0 .35rem}
@media (max-width:640px){.reading{display:flex;gap:18px;align-items:center}.whisker{flex:1;min-width:0}
.card{padding:13px 16px 12px}.card .about{margin-top:.35rem}}
.card .value.none{color:var(--soft)}
.card .figures{font-size:.85rem;margin:.1rem 0 0;display:flex;flex-wrap:wrap;gap:0 .8rem}
.card .figures span{min-width:0;overflow-wrap:anywhere}
.card .about{font-size:.83rem;line-height:1.45;margin-top:.55rem}
.whisker{display:block;width:100%;max-width:320px;height:auto;margin:.1rem 0 .3rem}
.warnings{background:var(--warn-wash);border:1px solid var(--warn-rule);border-left-width:5px;border-radius:8px;
padding:14px 20px 16px}
.warnings h2{color:var(--warn);font-size:1.05rem}
.warnings ul{margin:0;padding-left:1.15rem}
.warnings li+li{margin-top:.35rem}
dl.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,138px),1fr));gap:14px 28px;margin:.8rem 0 0}
.facts dt{color:var(--soft);font-size:.83rem}
.facts dd{margin:0;overflow-wrap:anywhere}
.facts .wide{grid-column:1/-1}
.pair{display:flex;flex-wrap:wrap;gap:24px 40px;align-items:flex-start}
figure{margin:0;flex:0 1 460px;min-width:0;max-width:100%}
figure.wide figcaption{grid-column:1/-1}
figure.wide{flex:1 1 100%;display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,320px),1fr));gap:0 28px}
figcaption{font-size:.85rem;margin:0 0 .4rem}
figure.square{flex-basis:600px}
figure.narrow{flex-basis:370px}
.side.wide{flex-basis:600px}
.plot{display:block;width:100%;height:auto;font-family:inherit}
.side{flex:1 1 340px;min-width:0;max-width:100%}
.scroll{overflow-x:auto;width:fit-content;min-width:min(100%,26rem);max-width:100%;border-top:1px solid var(--rule);border-bottom:1px solid var(--rule)}
.scroll:focus-visible,summary:focus-visible,a:focus-visible{outline:2px solid var(--blue);outline-offset:2px}
table{border-collapse:collapse;font-size:.9rem;line-height:1.4;width:100%}
th,td{padding:6px 12px;text-align:left;vertical-align:top}
thead th{color:var(--soft);font-weight:550;font-size:.83rem;border-bottom:1px solid var(--rule);white-space:nowrap;
vertical-align:bottom}
tbody th{font-weight:400}
tbody tr+tr>*{border-top:1px solid var(--rule)}
tr>:first-child{padding-left:2px}
tr>:last-child{padding-right:4px}
.num{text-align:right;white-space:nowrap}
.text{min-width:min(62vw,19rem);max-width:38rem;white-space:pre-wrap;overflow-wrap:anywhere}
th.short,td.short,.part{white-space:nowrap}
@media (min-width:641px){wbr{display:none}}
@media (max-width:640px){th,td{padding:6px 8px}th.short,td.short{white-space:normal}
.texts thead{display:none}.texts :is(tbody,tr,th,td){display:block}.texts tr{padding:10px 2px}
.texts tr>:is(th,td){border:0;padding:2px 0;min-width:0;text-align:left}.texts tr+tr{border-top:1px solid var(--rule)}
.texts tr>::before{content:attr(data-head);display:block;color:var(--soft);font-size:.78rem}}
td .range{display:block;color:var(--soft);font-size:.8rem}
.zero{color:var(--soft)}
.mark{border:1px solid var(--rule);border-radius:4px;background:var(--wash);color:var(--soft);font:.72em ui-monospace,
Menlo,Consolas,monospace;padding:0 3px;margin:0 1px;white-space:nowrap;unicode-bidi:isolate;direction:ltr}
.more{color:var(--soft);font-size:.85em}
details{width:100%;margin-top:4px}
summary{cursor:pointer;color:var(--blue);font-size:.93rem;padding:4px 0;width:max-content;max-width:100%}
details[open]>summary{margin-bottom:8px}
.heard{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
footer{margin-top:clamp(44px,6vw,72px);padding-bottom:40px;color:var(--soft);font-size:.83rem}
footer p{border-top:1px solid var(--rule);padding-top:14px;margin:0;max-width:none}
@media print{:root{color-scheme:light;--paper:#fff;--card:#fff;--ink:#000;--soft:#444;--rule:#ccc;--blue:#0072b2;
--orange:#c85200;--on-color:#fff}body{font-size:10.5pt}nav{display:none}.card,figure,tr{break-inside:avoid}
h2,.note{break-after:avoid}.scroll{overflow:visible}details::details-content{content-visibility:visible;display:block}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
