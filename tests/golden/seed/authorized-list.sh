curl -H "Authorization: Bearer my-secret-key" \
http://localhost:8080/scenarios
