curl -X POST \
-H "Content-Type: application/json" \
-d @- http://localhost:8080/scenarios <<'EOF'
{
"version": 2,
"defaults": {
"rate": 10,
"duration": "30s",
"encoder": { "type": "prometheus_text" },
"sink": { "type": "stdout" }
},
"scenarios": [
{
"id": "cpu_usage",
"signal_type": "metrics",
"name": "cpu_usage",
"generator": { "type": "constant", "value": 42.0 }
},
{
"id": "memory_usage",
"signal_type": "metrics",
"name": "memory_usage",
"generator": { "type": "constant", "value": 75.0 }
}
]
}
EOF
