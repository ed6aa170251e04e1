/**
 * The Prometheus configuration that scrapes one scenario.
 * @module
 */

import { address, key, scenarioPath } from "./api.js";

/**
 * Return a scrape configuration, as YAML.
 * @param {{id: string, name: string}} row
 */
export function scrapeSnippet(row) {
  const lines = [
    "scrape_configs:",
    `  - job_name: ${JSON.stringify(row.name)}`,
    `    metrics_path: ${JSON.stringify(`${address.pathname}${scenarioPath(row.id)}/metrics`)}`,
    "    params: {mode: [snapshot]}",
  ];
  if (address.protocol === "https:") lines.push("    scheme: https");
  if (key.get() !== null) lines.push("    authorization: {credentials_file: /etc/prometheus/sondad-key}");
  lines.push("    static_configs:", `      - targets: [${JSON.stringify(address.host)}]`);
  return lines.join("\n");
}
