"""The page around the figures and controls: one column on a phone, two where it is wide; nothing from elsewhere."""

TEMPLATE = """
{% from macros import embed %}
{% block preamble %}
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
  body { font: 15px/1.4 system-ui, sans-serif; color: #1a1a1a; background: #fff; }
  main { display: grid; gap: 8px 20px; padding: 8px 12px 16px; max-width: 1280px; margin: 0 auto;
    box-sizing: border-box; grid-template-columns: minmax(0, 1fr); }
  header { display: flex; flex-wrap: wrap; gap: 0 16px; align-items: baseline; }
  h1 { font-size: 19px; margin: 0; }
  header p { margin: 0; color: #444; }
  #map { height: 112vw; max-height: 720px; min-height: 380px; touch-action: pinch-zoom; }  /* a finger draws there */
  #said { min-height: 88px; }
  fieldset { border: 1px solid #bbb; border-radius: 6px; padding: 2px 6px 6px; margin: 0 0 8px; display: grid;
    grid-template-columns: repeat(auto-fit, minmax(128px, 1fr)); align-items: end; min-width: 0; }
  .wide { grid-column: 1 / -1; }
  legend { font-weight: 600; padding: 0 4px; }
  #seen { margin-bottom: 6px; }
  @media (min-width: 900px), (min-width: 600px) and (orientation: landscape) {
    main { grid-template-columns: minmax(0, min(640px, 54vw)) minmax(0, 1fr); }
    header { grid-column: 1 / -1; }
    #map { height: calc(100vh - 70px); max-height: 690px; min-height: 380px; }
  }
</style>
{% endblock %}
{% block contents %}
<main>
  <header><h1>{{ title | e }}</h1><p>{{ about | e }}</p></header>
  <section id="map" aria-label="Map of the latent space">{{ embed(roots.map) }}</section>
  <div>
    <section id="said" role="status" aria-live="polite">{{ embed(roots.status) }}{{ embed(roots.progress) }}</section>
    <section id="seen" aria-label="What the curves decode to">
      {{ embed(roots.strips) }}{{ embed(roots.profiles) }}</section>
    <fieldset><legend>Curve</legend>
      {{ embed(roots.start) }}{{ embed(roots.end) }}{{ embed(roots.clear) }}{{ embed(roots.cancel) }}
      <div class="wide">{{ embed(roots.click) }}</div></fieldset>
    <fieldset><legend>View</legend>
      {{ embed(roots.metric) }}{{ embed(roots.plane) }}{{ embed(roots.axes) }}{{ embed(roots.corners) }}</fieldset>
    <fieldset><legend>Ball</legend>{{ embed(roots.radius) }}{{ embed(roots.ball) }}</fieldset>
    <fieldset><legend>Clusters</legend>{{ embed(roots.count) }}{{ embed(roots.cluster) }}</fieldset>
    <fieldset><legend>Save</legend>{{ embed(roots.picture) }}{{ embed(roots.curve) }}</fieldset>
  </div>
</main>
{% endblock %}
"""
