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
"id": "up",
"signal_type": "metrics",
"name": "up",
"generator": { "type": "constant", "value": 1.0 }
}
]
}
EOF
