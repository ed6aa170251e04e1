curl -sS http://localhost:8080/scenarios/$ID/stats |
jq 'select(.total_sink_failures > 0 and (.last_successful_write_at == null or (now*1e9 - .last_successful_write_at) > 30e9))'
