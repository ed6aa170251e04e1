curl -X DELETE http://localhost:8080/scenarios/<id>
